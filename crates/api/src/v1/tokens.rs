//! Tokens of an account, made by the application's server (wire API, section 52), and their
//! verification (18.8).

use axum::extract::{FromRequestParts as _, Request, State};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::json;
use tramontane_accounts::{Caller, Error, NewToken, Realm, Refusal, Token};
use tramontane_model::{Code, Timestamp};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer;
use crate::call::Call;
use crate::caller::header;
use crate::json::JsonBody;
use crate::manage::access;
use crate::manage::bodies::AccessItems;
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::state::App;

const MAX_LABEL_CHARS: usize = 200;
/// Ten years.
const MAX_LIFE_SECONDS: i64 = 315_360_000;

/// A new token, shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
    id: String,
}

/// A token without its value.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenObject {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    account: i64,
    label: String,
    scope: String,
    access: Option<Vec<String>>,
    expires: Option<String>,
    created: String,
}

/// What a token is good for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Verified {
    client_id: String,
    account_id: i64,
    scope: String,
    token_type: &'static str,
    expires_in: Option<i64>,
    api: &'static str,
    r#type: &'static str,
}

/// What a new token shall be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct NewAccountToken {
    access: Option<AccessItems>,
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in: Option<i64>,
    #[schema(max_length = 200)]
    label: Option<String>,
}

/// Only the application's server makes and ends tokens.
fn require_key(account: &Account) -> Answer<&tramontane_accounts::KeyCaller> {
    match &account.caller {
        Caller::Key(key) => Ok(key),
        _ => Err(Problem::forbidden("This needs the application's API key.")),
    }
}

/// `POST /v1/accounts/{account}/tokens`.
pub(crate) async fn create(account: Account, body: JsonBody) -> Answer {
    let key = require_key(&account)?;
    let label = body.text("label")?.unwrap_or_default();
    if label.chars().count() > MAX_LABEL_CHARS || label.contains('\0') {
        return Err(Problem::invalid("label", "must have at most 200 characters"));
    }
    let life = body.number("expires_in", 1, MAX_LIFE_SECONDS)?;
    let now = account.app().now();
    let new = NewToken {
        access: access(&body)?,
        scope: account.opened.row.scope.clone(),
        label,
        expires: life.map(|seconds| now.plus_seconds(seconds).micros()),
    };
    let directory = account.app().directory();
    let made =
        directory.create_token(account.application_id(), account.id(), &key.access, new).await?;
    let object = TokenAnswer {
        access_token: made.token.expose_secret().to_owned(),
        token_type: "Bearer",
        scope: made.row.scope,
        expires_in: life,
        id: made.row.id,
    };
    answer::made(true, &object)
}

/// `GET /v1/accounts/{account}/tokens`.
pub(crate) async fn list(account: Account, query: Query) -> Answer {
    require_key(&account)?;
    let app = account.app();
    let page = NumberPage::read(app, &query, format!("tokens {}", account.id())).await?;
    let (rows, total) = app.directory().tokens(account.id(), page.slice()).await?;
    let objects = rows.into_iter().map(|row| serde_json::to_value(view(&account, row)));
    let objects = objects.collect::<Result<_, _>>().map_err(Problem::internal)?;
    answer::ok(&page.answer("core", u64::try_from(total).unwrap_or(0), objects)?)
}

fn view(account: &Account, row: Token) -> TokenObject {
    TokenObject {
        href: account.href(&format!("/tokens/{}", row.id)),
        id: row.id,
        r#type: "token",
        api: "core",
        account: row.account,
        label: row.label,
        scope: row.scope,
        access: row.access.map(|list| list.split(' ').map(str::to_owned).collect()),
        expires: row.expires.map(|at| Timestamp::from_micros(at).to_string()),
        created: Timestamp::from_micros(row.created).to_string(),
    }
}

/// `DELETE /v1/accounts/{account}/tokens/{token}`.
pub(crate) async fn delete(account: Account) -> Answer {
    require_key(&account)?;
    account.app().directory().revoke_token(account.id(), account.param("token")).await?;
    Ok(answer::empty())
}

/// `GET /v1/oauth/token`: whose token this is. One that is not good is `400`, which existing clients
/// take for exactly that.
pub(crate) async fn verify(State(app): State<App>, request: Request) -> Answer {
    let (mut parts, _) = request.into_parts();
    let call = Call::from_request_parts(&mut parts, &app).await?;
    let not_good = |text: &str| {
        let problem = Problem::new(Code::InvalidToken, text);
        problem
            .with_status(http::StatusCode::BAD_REQUEST)
            .with_member("error", json!("invalid_token"))
            .with_member("error_description", json!(text))
    };
    let caller = match app.directory().authenticate(header(&parts), Realm::Accounts).await {
        Ok(caller) => caller,
        Err(Error::Refused(Refusal::TokenExpired)) => {
            return Err(not_good("The token has expired."));
        }
        Err(Error::Refused(Refusal::Unknown)) => {
            return Err(not_good("The token is not known, or was revoked."));
        }
        Err(error) => return Err(error.into()),
    };
    let Caller::Tokens(grants) = caller else { return Err(Refusal::WrongKind.into()) };
    let [grant] = grants.as_slice() else {
        return Err(Problem::bad_request("This takes one token, not several."));
    };
    call.set_application(&grant.application.id);
    let now = app.now().micros();
    answer::ok(&Verified {
        client_id: grant.application.id.clone(),
        account_id: grant.account.number(),
        scope: grant.scope.clone(),
        token_type: "Bearer",
        expires_in: grant.expires.map(|at| (at - now).max(0) / 1_000_000),
        api: "core",
        r#type: "access_token",
    })
}
