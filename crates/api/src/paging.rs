//! Pages of lists: token style, number style, and opaque cursors over both (wire API, sections 7, 46).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tramontane_store::Slice;

use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::state::App;

/// The default and the largest page of most lists.
pub const PAGE: usize = 1_000;

/// How long a page token is good, in seconds.
const TOKEN_SECONDS: i64 = 24 * 3_600;

/// The page of a token-style list that is asked for.
#[derive(Clone, Debug)]
pub struct TokenPage<T = String> {
    app: App,
    /// At most so many objects.
    pub size: usize,
    /// Where the list goes on; `None` on its first page.
    pub at: Option<T>,
    token: Option<String>,
    style: Style,
    context: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Cursor,
}

/// What a page token carries. Its context (account, endpoint, filters) is not in it but sealed to it.
#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    at: T,
}

impl<T: Serialize + DeserializeOwned> TokenPage<T> {
    /// Reads `page`, `page_size` (and `paging`, `cursor`). `context` says what the list is: account,
    /// acting user, endpoint and filters; a token is good for the same context only.
    ///
    /// # Errors
    /// `invalid_parameters` for a size out of range and a token that is foreign, altered or expired.
    pub async fn read(app: &App, query: &Query, context: String) -> Answer<Self> {
        Self::read_sized(app, query, context, PAGE, PAGE).await
    }

    /// As [`TokenPage::read`], for lists with their own default and largest size.
    ///
    /// # Errors
    /// As [`TokenPage::read`].
    pub async fn read_sized(
        app: &App,
        query: &Query,
        context: String,
        default: usize,
        most: usize,
    ) -> Answer<Self> {
        let size = page_size(query, default, most)?;
        let style = style(query)?;
        let (name, token) = match style {
            Style::Plain => ("page", query.text("page").filter(|page| *page != "1")),
            Style::Cursor => ("cursor", query.text("cursor")),
        };
        let at = match token {
            None => None,
            Some(token) => {
                let opened = app.keys().open_token::<Sealed<T>>(app.pages(), &context, token).await;
                let rule = "is not the token of a page of this list, or is older than 24 hours; \
                            start again without it";
                Some(opened.map_err(|_| Problem::invalid(name, rule))?.at)
            }
        };
        let token = token.map(str::to_owned);
        Ok(Self { app: app.clone(), size, at, token, style, context })
    }

    /// The list's answer: these objects, and where it goes on.
    ///
    /// # Errors
    /// When the token cannot be sealed.
    pub fn answer<O>(
        &self,
        api: &'static str,
        objects: Vec<O>,
        next: Option<T>,
    ) -> Answer<List<O>> {
        let next = match next {
            None => None,
            Some(at) => {
                let expires = self.app.now().plus_seconds(TOKEN_SECONDS);
                Some(self.app.pages().seal(&self.context, expires, &Sealed { at })?)
            }
        };
        let token = self.token.clone().filter(|_| self.style == Style::Plain);
        let cursor = self.style == Style::Cursor;
        Ok(List {
            page: token.map_or(Mark::Number(1), Mark::Token),
            has_more: cursor.then_some(next.is_some()),
            next_cursor: cursor.then(|| next.clone()),
            next_page: next.map(Mark::Token),
            ..List::bare(api, objects)
        })
    }
}

/// The page of a number-style list that is asked for.
#[derive(Clone, Debug)]
pub struct NumberPage {
    app: App,
    /// At most so many objects.
    pub size: usize,
    /// From 1.
    pub page: u64,
    style: Style,
    context: String,
}

impl NumberPage {
    /// Reads `page`, `page_size` (and `paging`, `cursor`). `context` is as for [`TokenPage::read`].
    ///
    /// # Errors
    /// `invalid_parameters` for numbers that are none or out of range.
    pub async fn read(app: &App, query: &Query, context: String) -> Answer<Self> {
        let size = page_size(query, PAGE, PAGE)?;
        let style = style(query)?;
        let page = match (style, query.text("cursor")) {
            (Style::Plain, _) => query.number("page", 1, u64::from(u32::MAX))?.unwrap_or(1),
            (Style::Cursor, None) => 1,
            (Style::Cursor, Some(token)) => {
                // The size is part of what the cursor means here.
                let context = format!("{context}|{size}");
                let opened = app.keys().open_token::<Sealed<u64>>(app.pages(), &context, token);
                let rule = "is not a cursor of this list with this page_size";
                opened.await.map_err(|_| Problem::invalid("cursor", rule))?.at
            }
        };
        Ok(Self { app: app.clone(), size, page, style, context })
    }

    /// The rows to read.
    #[must_use]
    pub fn slice(&self) -> Slice {
        let offset = (self.page - 1).saturating_mul(self.size as u64);
        Slice {
            offset: i64::try_from(offset).unwrap_or(i64::MAX),
            limit: i64::try_from(self.size).unwrap_or(i64::MAX),
        }
    }

    /// This page's part of a list that is in memory.
    #[must_use]
    pub fn of<T>(&self, all: Vec<T>) -> Vec<T> {
        let offset = usize::try_from(self.slice().offset).unwrap_or(usize::MAX);
        all.into_iter().skip(offset).take(self.size).collect()
    }

    /// The list's answer: this page's objects of `total`.
    ///
    /// # Errors
    /// `not_found` for a page after the last one.
    pub fn answer<O>(&self, api: &'static str, total: u64, objects: Vec<O>) -> Answer<List<O>> {
        if objects.is_empty() && self.page > 1 {
            return Err(Problem::not_found("page"));
        }
        let more = self.page.saturating_mul(self.size as u64) < total && !objects.is_empty();
        let next = more.then_some(self.page + 1);
        let cursor = match (self.style, next) {
            (Style::Plain, _) => None,
            (Style::Cursor, None) => Some(None),
            (Style::Cursor, Some(page)) => {
                let expires = self.app.now().plus_seconds(TOKEN_SECONDS);
                let context = format!("{}|{}", self.context, self.size);
                Some(Some(self.app.pages().seal(&context, expires, &Sealed { at: page })?))
            }
        };
        Ok(List {
            total: Some(total),
            page: Mark::Number(self.page),
            next_page: next.map(Mark::Number),
            has_more: cursor.is_some().then_some(more),
            next_cursor: cursor,
            ..List::bare(api, objects)
        })
    }
}

/// A list on the wire, of either style.
#[derive(Clone, Debug, Serialize)]
pub struct List<O> {
    /// Always `object_list`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The API that the objects belong to.
    api: &'static str,
    /// Objects in all, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Objects in this answer.
    count: usize,
    /// The page that was asked for.
    page: Mark,
    /// The page that follows; `null` exactly when the list is finished.
    next_page: Option<Mark>,
    /// As `next_page`, for `paging=cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Option<String>>,
    /// Whether there is more, for `paging=cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    has_more: Option<bool>,
    /// What failed, where several accounts were asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Value>,
    /// The objects.
    objects: Vec<O>,
}

/// How a page is named.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Mark {
    Number(u64),
    Token(String),
}

impl<O> List<O> {
    fn bare(api: &'static str, objects: Vec<O>) -> Self {
        Self {
            kind: "object_list",
            api,
            total: None,
            count: objects.len(),
            page: Mark::Number(1),
            next_page: None,
            next_cursor: None,
            has_more: None,
            errors: Vec::new(),
            objects,
        }
    }

    /// The same list, with what failed of it.
    #[must_use]
    pub fn with_errors(self, errors: Vec<Value>) -> Self {
        Self { errors, ..self }
    }

    /// The same list with every object turned into something else.
    #[must_use]
    pub fn map<P>(self, turn: impl FnMut(O) -> P) -> List<P> {
        List {
            objects: self.objects.into_iter().map(turn).collect(),
            kind: self.kind,
            api: self.api,
            total: self.total,
            count: self.count,
            page: self.page,
            next_page: self.next_page,
            next_cursor: self.next_cursor,
            has_more: self.has_more,
            errors: self.errors,
        }
    }
}

fn page_size(query: &Query, default: usize, most: usize) -> Answer<usize> {
    let size = query.number("page_size", 1, most as u64)?;
    Ok(size.and_then(|size| usize::try_from(size).ok()).unwrap_or(default))
}

fn style(query: &Query) -> Answer<Style> {
    match query.text("paging") {
        None => Ok(Style::Plain),
        Some("cursor") => Ok(Style::Cursor),
        Some(_) => Err(Problem::invalid("paging", "must be cursor")),
    }
}
