//! Applications (wire API, section 20.2).

use axum::extract::{Path, State};
use serde_json::Value;
use tramontane_accounts::{Application, NewApplication};
use tramontane_feeds::retention::{EVENT_DAYS, LEAST_DAYS, MOST_DAYS};
use url::Url;

use super::{Manager, values, views};
use crate::answer;
use crate::connect::theme;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::state::App;

/// Where the hash of the client secret is kept among the settings.
pub(crate) const CLIENT_SECRET: &str = "client_secret_hash";

const MAX_TEXT_CHARS: usize = 10_000;
const MAX_URL_BYTES: usize = 2_000;
/// The longest and the shortest life of tokens, in seconds: a minute to ten years.
const TOKEN_LIFETIME: std::ops::RangeInclusive<i64> = 60..=315_360_000;

pub(crate) async fn list(State(app): State<App>, manager: Manager) -> Answer {
    let active = manager.query.flag("active")?;
    let page = manager.page(&app, &format!("applications {active:?}")).await?;
    let directory = app.directory();
    let (rows, total) = directory.applications(manager.developer, active, page.slice()).await?;
    let objects = values(rows.iter().map(|row| views::application(&manager.base, row)))?;
    let total = u64::try_from(total).unwrap_or(0);
    answer::ok(&page.answer("meta", total, objects)?)
}

pub(crate) async fn create(State(app): State<App>, manager: Manager, body: JsonBody) -> Answer {
    let new = NewApplication {
        name: body.required_text("name")?,
        description: text(&body, "description")?.unwrap_or_default(),
        logo_url: logo(&body)?.flatten(),
        source: body.text("source")?.filter(|source| !source.is_empty()),
        ..NewApplication::default()
    };
    let changes = Changes::read(&body)?;
    let directory = app.directory();
    let (row, _) = directory.create_application(manager.developer, new).await?;
    // Flags that are given win over those of the source.
    let row = directory
        .update_application(manager.developer, &row.id, |row| changes.flags_only().apply(row))
        .await?;
    answer::made(true, &views::application(&manager.base, &row))
}

pub(crate) async fn retrieve(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    let row = manager.application(&app, &id).await?;
    answer::ok(&views::application(&manager.base, &row))
}

pub(crate) async fn update(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    manager.application(&app, &id).await?;
    let changes = Changes::read(&body)?;
    let directory = app.directory();
    let row =
        directory.update_application(manager.developer, &id, |row| changes.apply(row)).await?;
    answer::ok(&views::application(&manager.base, &row))
}

pub(crate) async fn delete(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    // What its uploads left on disk is swept when it is old enough.
    app.directory().delete_application(manager.developer, &id).await?;
    Ok(answer::empty())
}

/// The members that were given.
#[derive(Clone, Default)]
struct Changes {
    name: Option<String>,
    description: Option<String>,
    logo_url: Option<Option<String>>,
    active: Option<bool>,
    implicit_grant_enabled: Option<bool>,
    recent_enabled: Option<bool>,
    events_enabled: Option<bool>,
    keys_show_once: Option<bool>,
    settings: Vec<(&'static str, Option<Value>)>,
}

impl Changes {
    fn read(body: &JsonBody) -> Answer<Self> {
        let mut settings = Vec::new();
        if body.has(EVENT_DAYS) {
            let value = body.number(EVENT_DAYS, LEAST_DAYS, MOST_DAYS)?;
            settings.push((EVENT_DAYS, value.map(Value::from)));
        }
        if body.has("token_lifetime") {
            let (least, most) = (*TOKEN_LIFETIME.start(), *TOKEN_LIFETIME.end());
            let value = body.number("token_lifetime", least, most)?;
            settings.push(("token_lifetime", value.map(Value::from)));
        }
        if body.has("require_pkce") {
            let value = body.flag("require_pkce")?.filter(|on| *on);
            settings.push(("require_pkce", value.map(Value::from)));
        }
        if body.has(theme::THEME) {
            settings.push((theme::THEME, colours(body)?));
        }
        let events = body.flag("events_enabled")?;
        Ok(Self {
            name: body.text("name")?,
            description: text(body, "description")?,
            logo_url: logo(body)?,
            active: body.flag("active")?,
            implicit_grant_enabled: body.flag("implicit_grant_enabled")?,
            recent_enabled: body.flag("recent_enabled")?,
            events_enabled: match events {
                Some(on) => Some(on),
                None => body.flag("events_grant_enabled")?,
            },
            keys_show_once: body.flag("keys_show_once")?,
            settings,
        })
    }

    /// What counts on create beside what the new application is made of: `active` is for updates only.
    fn flags_only(&self) -> Self {
        Self { name: None, description: None, logo_url: None, active: None, ..self.clone() }
    }

    fn apply(&self, row: &mut Application) {
        fn set<T: Clone>(to: &mut T, from: Option<&T>) {
            if let Some(value) = from {
                to.clone_from(value);
            }
        }
        set(&mut row.name, self.name.as_ref());
        set(&mut row.description, self.description.as_ref());
        set(&mut row.logo_url, self.logo_url.as_ref());
        set(&mut row.active, self.active.as_ref());
        set(&mut row.implicit_grant_enabled, self.implicit_grant_enabled.as_ref());
        set(&mut row.recent_enabled, self.recent_enabled.as_ref());
        set(&mut row.events_enabled, self.events_enabled.as_ref());
        set(&mut row.keys_show_once, self.keys_show_once.as_ref());
        if let Some(settings) = row.settings.as_object_mut() {
            for (name, value) in &self.settings {
                match value {
                    Some(value) => settings.insert((*name).to_owned(), value.clone()),
                    None => settings.remove(*name),
                };
            }
        }
    }
}

/// `connect_theme`: the colours of the connect page; `null` takes them back.
fn colours(body: &JsonBody) -> Answer<Option<Value>> {
    let bad = || {
        let rule =
            format!("must be an object of colours like #0b5fc4: {}", theme::COLOURS.join(", "));
        Problem::invalid(theme::THEME, rule)
    };
    let Some(Value::Object(given)) = body.get(theme::THEME) else {
        return if body.get(theme::THEME).is_some_and(Value::is_null) {
            Ok(None)
        } else {
            Err(bad())
        };
    };
    for (name, value) in given {
        let colour = value.as_str().and_then(theme::Colour::parse);
        if !theme::COLOURS.contains(&name.as_str()) || colour.is_none() {
            return Err(bad());
        }
    }
    Ok(Some(Value::Object(given.clone())).filter(|_| !given.is_empty()))
}

fn text(body: &JsonBody, member: &str) -> Answer<Option<String>> {
    let text = body.text(member)?;
    if text
        .as_ref()
        .is_some_and(|text| text.chars().count() > MAX_TEXT_CHARS || text.contains('\0'))
    {
        return Err(Problem::invalid(member, "must have at most 10000 characters"));
    }
    Ok(text)
}

/// `logo_url`: absent, removed, or an address of a picture.
fn logo(body: &JsonBody) -> Answer<Option<Option<String>>> {
    if !body.has("logo_url") {
        return Ok(None);
    }
    let Some(text) = body.text("logo_url")?.filter(|text| !text.is_empty()) else {
        return Ok(Some(None));
    };
    let fine = text.len() <= MAX_URL_BYTES
        && Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !fine {
        return Err(Problem::invalid("logo_url", "must be an http or https URL"));
    }
    Ok(Some(Some(text)))
}
