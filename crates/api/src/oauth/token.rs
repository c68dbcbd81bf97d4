//! `POST /v1/oauth/token`, `/revoke`, `/introspect` (wire API, sections 18.7 and 52; RFC 7009, RFC 7662).

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use tramontane_accounts::handshake::{Fault, FaultCode, Given, Redeeming, redirect};
use utoipa::ToSchema;

use super::read::{Members, fault};
use crate::answer;
use crate::call::Call;
use crate::problem::Answer;
use crate::state::App;

/// What the token endpoint gives.
#[derive(Serialize, ToSchema)]
pub(crate) struct OauthToken {
    access_token: String,
    token_type: &'static str,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// What the token endpoint takes, as JSON or as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct OauthTokenRequest {
    grant_type: String,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// A token to end or to look at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct OauthTokenNamed {
    token: String,
    token_type_hint: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// What a token is (RFC 7662, section 2.2).
#[derive(Serialize, ToSchema)]
pub(crate) struct Introspected {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

/// `POST /v1/oauth/token`.
pub(crate) async fn give(State(app): State<App>, call: Call, request: Request) -> Answer {
    let members = Members::read(request).await?;
    let grant = members.need("grant_type")?;
    if !matches!(grant, "authorization_code" | "refresh_token") {
        let text = "grant_type must be authorization_code or refresh_token.";
        return Err(fault(Fault::new(FaultCode::UnsupportedGrantType, text)));
    }
    let client = members.client(&app).await?;
    call.set_application(&client.application.id);
    let directory = app.directory();
    let given = if grant == "authorization_code" {
        // The out-of-band URI is no URI: leaving it out is the same.
        let given = members.get("redirect_uri");
        let asked = Redeeming {
            code: members.need("code")?,
            redirect_uri: given.filter(|uri| *uri != redirect::OUT_OF_BAND),
            verifier: members.get("code_verifier"),
        };
        directory.redeem(&client, asked).await
    } else {
        directory.refresh(&client, members.need("refresh_token")?).await
    };
    let Given { token, scope, expires_in, refresh } = given.map_err(fault)?;
    answer::ok(&OauthToken {
        access_token: token.expose_secret().to_owned(),
        token_type: "Bearer",
        scope,
        expires_in,
        refresh_token: refresh.map(|token| token.expose_secret().to_owned()),
    })
}

/// `POST /v1/oauth/revoke`: `200` also for tokens that nobody knows.
pub(crate) async fn revoke(State(app): State<App>, call: Call, request: Request) -> Answer {
    let members = Members::read(request).await?;
    let client = members.client(&app).await?;
    call.set_application(&client.application.id);
    app.directory().revoke_for(&client, members.need("token")?).await.map_err(fault)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}

/// `POST /v1/oauth/introspect`.
pub(crate) async fn introspect(State(app): State<App>, call: Call, request: Request) -> Answer {
    let members = Members::read(request).await?;
    let client = members.client_with_secret(&app).await?;
    call.set_application(&client.application.id);
    let found = app.directory().introspect(&client, members.need("token")?).await.map_err(fault)?;
    let seconds = |micros: i64| micros.div_euclid(1_000_000);
    let Some(token) = found else {
        return answer::ok(&Introspected {
            active: false,
            client_id: None,
            token_type: None,
            scope: None,
            access: None,
            sub: None,
            account_id: None,
            iss: None,
            iat: None,
            exp: None,
        });
    };
    answer::ok(&Introspected {
        active: true,
        client_id: Some(client.application.id.clone()),
        token_type: token.token_type,
        scope: Some(token.scope),
        access: token.access.map(|list| list.split(' ').map(str::to_owned).collect()),
        sub: Some(token.account.to_string()),
        account_id: Some(token.account),
        iss: Some(call.base.clone()),
        iat: Some(seconds(token.created)),
        exp: token.expires.map(seconds),
    })
}
