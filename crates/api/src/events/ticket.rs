//! Who reads a stream: a credential in the header, or a token in the URL, because browsers' `EventSource`
//! sends no headers (wire API, section 53).

use axum::extract::FromRequestParts;
use http::request::Parts;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::time::Instant;
use tramontane_accounts::{Caller, Error, Realm};
use tramontane_model::AccountId;
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::ok;
use crate::call::Call;
use crate::caller::header;
use crate::listen::Hangup;
use crate::problem::{Answer, Problem};
use crate::public;
use crate::query::Query;
use crate::state::App;

use super::allowed;

/// How long a token opens the stream, in seconds.
const TOKEN_SECONDS: i64 = 300;
/// How long a stream lasts that was opened by a token: nobody can revoke it.
const TOKEN_STREAM: std::time::Duration = std::time::Duration::from_secs(3_600);
/// The mark of these tokens.
const MARK: &str = "est_";

/// A token for the stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventStreamToken)]
pub(crate) struct StreamToken {
    /// The token.
    stream_token: String,
    /// For how many seconds it opens the stream.
    expires_in: i64,
    /// Always `events`.
    api: &'static str,
    /// Always `stream_token`.
    r#type: &'static str,
}

fn context(account: AccountId) -> String {
    format!("the event stream of account {account}")
}

/// `POST .../events/stream_token`.
///
/// # Errors
/// `forbidden` when events are off.
pub(crate) async fn create(account: Account) -> Answer {
    allowed(&account)?;
    let app = account.app();
    let expires = app.now().plus_seconds(TOKEN_SECONDS);
    let sealer = app.keys().sealer(MARK);
    ok(&StreamToken {
        stream_token: sealer.seal(&context(account.id()), expires, &())?,
        expires_in: TOKEN_SECONDS,
        api: "events",
        r#type: "stream_token",
    })
}

/// What a stream may go on by.
#[derive(Debug)]
pub(crate) enum Pass {
    /// The credential that opened it, asked again now and then.
    Credential(SecretString),
    /// A token, until then.
    Token(Instant),
}

/// Somebody who may read an account's stream.
pub(crate) struct Reader {
    /// The account.
    pub(crate) account: Account,
    /// What the stream may go on by.
    pub(crate) pass: Pass,
    /// Ends the connection, where that can be done.
    pub(crate) hangup: Option<Hangup>,
}

impl FromRequestParts<App> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let query = Query::of(&parts.uri);
        let hangup = parts.extensions.get::<Hangup>().cloned();
        let Some(token) = query.text("stream_token").filter(|_| header(parts).is_none()) else {
            let account = Account::from_request_parts(parts, app).await?;
            let header = header(parts).unwrap_or_default();
            let pass = Pass::Credential(SecretString::from(header));
            return Ok(Self { account, pass, hangup });
        };
        let refused = || Problem::forbidden("The stream_token is not of this stream, or is over.");
        let call = Call::from_request_parts(parts, app).await?;
        let path = axum::extract::RawPathParams::from_request_parts(parts, app).await;
        let path = path.map_err(|_| refused())?;
        let id = path.iter().find(|(name, _)| *name == "account").map(|(_, id)| id.to_owned());
        let id = id.as_deref().and_then(AccountId::parse).ok_or_else(refused)?;
        let sealer = app.keys().sealer(MARK);
        let opened = app.keys().open_token::<()>(&sealer, &context(id), token).await;
        opened.map_err(|_| refused())?;
        let account = public::open(app, &call, id.number()).await?.ok_or_else(refused)?;
        Ok(Self { account, pass: Pass::Token(Instant::now() + TOKEN_STREAM), hangup })
    }
}

impl Pass {
    /// Whether the stream of an account may go on. When the database cannot say, it may.
    pub(crate) async fn is_good(&self, account: &Account) -> bool {
        let (app, id) = (account.app(), account.id());
        match self {
            Self::Token(until) => {
                let open = public::open(app, &account.call.part(), id.number()).await;
                Instant::now() < *until && open.is_ok_and(|open| open.is_some())
            }
            Self::Credential(credential) => {
                let Some(caller) = caller(app, credential).await else { return true };
                let Ok(caller) = caller else { return false };
                let may = caller.access(id).is_some_and(|access| Account::may_follow(access));
                let opened = app.directory().account(&caller, id).await;
                may && match opened {
                    Ok(opened) => opened.row.active,
                    Err(Error::Store(_)) => true,
                    Err(_) => false,
                }
            }
        }
    }
}

/// Who a credential stands for now: `None` when the database cannot say.
pub(crate) async fn caller(app: &App, credential: &SecretString) -> Option<Result<Caller, Error>> {
    match app.directory().authenticate(Some(credential.expose_secret()), Realm::Accounts).await {
        Err(Error::Store(_)) => None,
        known => Some(known),
    }
}
