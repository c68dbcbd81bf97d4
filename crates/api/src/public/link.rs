//! What the URL of a link shows (wire API, section 19.3).

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tramontane_connector::{Entry, EntryKind, Storage as _};
use tramontane_model::{Code, Op};
use tramontane_store::links::{self, Link};

use super::{Place, admit, open, page, password};
use crate::account::Account;
use crate::call::Call;
use crate::json::collect;
use crate::problem::{Answer, Problem};
use crate::query::{Query, latin};
use crate::state::App;
use crate::v1::download::{Wanted, send};

/// The longest form that is read, in bytes.
const MAX_FORM_BYTES: usize = 16 << 10;

/// Content is shown under our own origin: it may run nothing and reach nothing there.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
);

/// Why a link shows nothing.
enum Closed {
    /// There is no such link, or what it led to is gone.
    Unknown,
    /// It is switched off, has ended, or is used up.
    Ended,
}

/// A link that may be used, with its account.
struct Opened {
    link: Link,
    account: Account,
}

/// `GET /l/{link}`: the content of a direct link, the page of another.
pub(crate) async fn show(
    State(app): State<App>,
    call: Call,
    Path(id): Path<String>,
    query: Query,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    admit(&app, &call, Place::Links)?;
    let row = links::find(app.db(), &id).await?;
    let direct = row.as_ref().is_some_and(|link| link.direct);
    let opened = match usable(&app, &call, row).await? {
        Ok(opened) => opened,
        Err(closed) => return refusal(&closed, direct),
    };
    let Opened { link, account } = &opened;
    if link.direct {
        if link.password_hash.is_some() {
            let given = password::shown(query.text("password"), &headers);
            let right = match given {
                Some(given) => password::is_right(&app, &call, link, &given).await?,
                None => false,
            };
            if !right {
                let text = "This link needs a password: give ?password= or HTTP Basic.";
                let problem = Problem::new(Code::AuthenticationRequired, text);
                return Err(problem.header(WWW_AUTHENTICATE, "Basic realm=\"link\""));
            }
        }
        return content(&app, account, link, Wanted::read(&method, &headers, &query)?, true).await;
    }
    if link.password_hash.is_some() && !password::is_remembered(&app, link, &headers).await {
        return Ok(page::password(None));
    }
    file_page(&opened).await
}

/// `POST /l/{link}`: the password.
pub(crate) async fn submit(
    State(app): State<App>,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    admit(&app, &call, Place::Links)?;
    let row = links::find(app.db(), &id).await?;
    let opened = match usable(&app, &call, row).await? {
        Ok(opened) => opened,
        Err(closed) => return refusal(&closed, false),
    };
    if opened.link.direct {
        let text = "A direct link is read with GET.";
        return Err(Problem::new(Code::MethodNotAllowed, text).allow("GET,HEAD,OPTIONS"));
    }
    let form = collect(request.into_body(), MAX_FORM_BYTES).await?;
    let form = Query::parse(&latin(form));
    let given = form.text("password").unwrap_or_default();
    match password::is_right(&app, &call, &opened.link, given).await {
        Ok(true) => {}
        Ok(false) => {
            return Ok(page::password(Some("That is not the right password. Please try again.")));
        }
        Err(problem) if problem.code == Code::TooManyRequests => {
            let mut response = page::notice(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many tries",
                "The password was wrong too often. Please wait a few minutes and try again.",
            );
            response.headers_mut().extend(problem.headers());
            return Ok(response);
        }
        Err(problem) => return Err(problem),
    }
    let mut response = file_page(&opened).await?;
    if opened.link.password_hash.is_some() {
        let cookie = password::cookie(&app, &call, &opened.link)?;
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `GET /l/{link}/contents`: what the button of the page fetches.
pub(crate) async fn contents(
    State(app): State<App>,
    call: Call,
    Path(id): Path<String>,
    query: Query,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    admit(&app, &call, Place::Links)?;
    let row = links::find(app.db(), &id).await?;
    let direct = row.as_ref().is_some_and(|link| link.direct);
    let Opened { link, account } = match usable(&app, &call, row).await? {
        Ok(opened) => opened,
        Err(closed) => return refusal(&closed, direct),
    };
    if link.password_hash.is_some() && !password::is_remembered(&app, &link, &headers).await {
        let given = password::shown(query.text("password"), &headers);
        let right = match &given {
            Some(given) => password::is_right(&app, &call, &link, given).await?,
            None => false,
        };
        if !right && link.direct {
            let text = "This link needs a password: give ?password= or HTTP Basic.";
            return Err(Problem::new(Code::AuthenticationRequired, text));
        }
        if !right {
            return Ok(page::password(None));
        }
    }
    content(&app, &account, &link, Wanted::read(&method, &headers, &query)?, false).await
}

/// The link and its account, when it may be used now.
async fn usable(app: &App, call: &Call, row: Option<Link>) -> Answer<Result<Opened, Closed>> {
    let Some(link) = row else { return Ok(Err(Closed::Unknown)) };
    let Some(account) = open(app, call, link.account).await? else {
        return Ok(Err(Closed::Unknown));
    };
    // A file of a member is there for who acts as that member.
    let account = account.acting_as(link.as_user.as_deref());
    let now = app.now().micros();
    let ended = link.expiration.is_some_and(|at| at <= now);
    let used_up = link.max_downloads.is_some_and(|most| link.downloads >= most);
    if !link.active || ended || used_up {
        return Ok(Err(Closed::Ended));
    }
    Ok(Ok(Opened { link, account }))
}

fn refusal(closed: &Closed, direct: bool) -> Answer<Response> {
    match (closed, direct) {
        (Closed::Unknown, _) => Ok(page::notice(
            StatusCode::NOT_FOUND,
            "Nothing to see here",
            "This link does not exist, or the file that it led to is gone.",
        )),
        (Closed::Ended, true) => Err(Problem::forbidden("This link is not active any more.")),
        (Closed::Ended, false) => Ok(page::notice(
            StatusCode::FORBIDDEN,
            "This link is not active",
            "It was switched off or has expired. Ask whoever sent it for a new one.",
        )),
    }
}

async fn file_page(opened: &Opened) -> Answer {
    let Opened { link, account } = opened;
    let entry = match entry(account, link).await {
        Ok(entry) => entry,
        Err(problem) => return Ok(failed(link, &problem)),
    };
    let href = format!("{}/l/{}/contents", account.call.base, link.id);
    Ok(page::file(&entry.name, entry.size, &href))
}

async fn entry(account: &Account, link: &Link) -> Answer<Entry> {
    let of = account.object("file_id", &link.resource_id, EntryKind::File).await?;
    Ok(account.storage_for(Op::FileDownload)?.get(&account.cx(), &of).await?)
}

/// A file that cannot be shown, in words for whoever followed the link.
fn failed(link: &Link, problem: &Problem) -> Response {
    let status = problem.status();
    tracing::info!(link = link.id.get(..6), code = problem.code.as_str(), "a link shows no file");
    let (status, heading, text) = match status {
        StatusCode::NOT_FOUND => (
            status,
            "Nothing to see here",
            "The file that this link led to was moved, renamed or deleted.",
        ),
        StatusCode::INTERNAL_SERVER_ERROR => (
            status,
            "Something went wrong",
            "The file cannot be shown now. Please try again later.",
        ),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The file cannot be reached",
            "The service that keeps the file does not give it now. Please try again later.",
        ),
    };
    page::notice(status, heading, text)
}

async fn content(
    app: &App,
    account: &Account,
    link: &Link,
    mut wanted: Wanted,
    inline: bool,
) -> Answer {
    let of = account.object("file_id", &link.resource_id, EntryKind::File).await?;
    if !wanted.head && !links::take_download(app.db(), link).await? {
        return Err(Problem::forbidden("This link is used up."));
    }
    wanted.inline = inline;
    let sent = send(account, &of, &wanted).await;
    let mut response = sent.map_err(|problem| match problem.code {
        Code::InternalError => {
            let cause = problem.cause().unwrap_or_default().to_owned();
            tracing::error!(cause, "the target of a link could not be read");
            Problem::new(Code::LinkError, "The file could not be read. Please try again later.")
        }
        _ => problem,
    })?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, SANDBOX);
    Ok(response.into_response())
}
