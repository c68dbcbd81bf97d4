//! The whole life of a grant at a server that we did not write: npm's `oidc-provider`, which requires
//! PKCE, gives refresh tokens that are good once, and ends a grant when a spent one comes again.
//!
//! `TRAMONTANE_TEST_OIDC` is its base URL (`scripts/upstreams`); without it nothing is tested, unless
//! `TRAMONTANE_TEST_REQUIRE` is set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method};
use secrecy::SecretString;
use tramontane_accounts::upstream::{
    Authorization, CodeExchange, GrantOptions, Grants, NewGrant, Obtained, OperatorClients,
    Revoked, begin,
};
use tramontane_accounts::{CredentialState, Error, Opened};
use tramontane_connector::http::Request;
use tramontane_connector::oauth::{ACCESS_TOKEN, REFRESH_TOKEN};
use tramontane_connector::{Connector, Credential, Kind, Settings};
use tramontane_model::{Clock as _, SystemClock};
use tramontane_store::scratch::{Scratch, on_each_engine};
use tramontane_vault::SystemEntropy;
use url::Url;

use crate::drive::{Drive, Nothing, now, token};
use crate::fire::{loopback_wire, over_http};
use crate::house::House;

const BACK: &str = "https://tramontane.example.com/v1/oauth/callback";

fn base() -> Option<Url> {
    let variable = "TRAMONTANE_TEST_OIDC";
    let base = std::env::var(variable).ok();
    if base.is_none() {
        assert!(
            std::env::var("TRAMONTANE_TEST_REQUIRE").is_err(),
            "{variable} is not set, and TRAMONTANE_TEST_REQUIRE is"
        );
        println!("{variable} is not set: nothing was tested");
    }
    base.map(|base| Url::parse(&base).unwrap())
}

/// A browser that logs in, consents, and comes back with what the callback is told.
async fn visit(drive: &Arc<dyn Connector>, from: &Url) -> BTreeMap<String, String> {
    let wire = loopback_wire(drive);
    let mut cookies: BTreeMap<String, String> = BTreeMap::new();
    let mut next = from.clone();
    let mut form: Option<&str> = None;
    for _ in 0..20 {
        let method = if form.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new("visit", method, next.clone());
        request.follow = false;
        let jar: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(COOKIE, jar.join("; "));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.bytes(form.take().unwrap_or_default().to_owned());
        let answer = wire.unsigned(request, Duration::from_secs(20)).await.unwrap();
        keep(&mut cookies, &answer.headers);
        if let Some(location) = answer.header(&LOCATION) {
            next = answer.url.join(location).unwrap();
            if next.as_str().starts_with(BACK) {
                return next.query_pairs().into_owned().collect();
            }
            continue;
        }
        // The page of its development interactions asks for one thing at a time.
        let page = String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap();
        form = Some(match page.contains("value=\"login\"") {
            true => "prompt=login&login=ana&password=any",
            false => "prompt=consent",
        });
    }
    panic!("the login does not end");
}

fn keep(cookies: &mut BTreeMap<String, String>, headers: &HeaderMap) {
    for cookie in headers.get_all(SET_COOKIE) {
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let (name, value) = cookie.split_once('=').unwrap();
        match value {
            "" => cookies.remove(name),
            value => cookies.insert(name.to_owned(), value.to_owned()),
        };
    }
}

/// What the user grants. `twice`: the code is used a second time.
async fn obtain(
    house: &House,
    grants: &Grants,
    drive: &Arc<dyn Connector>,
    twice: bool,
) -> Obtained {
    let client = grants.client(house.app(), "drive", false).await.unwrap();
    let extras = BTreeMap::from([("prompt".to_owned(), "consent".to_owned())]);
    let asked = Authorization {
        connector: drive.as_ref(),
        client: &client,
        redirect_uri: BACK,
        state: "the-state",
        admin: false,
        apis: &[],
        literal: &["openid offline_access".to_owned()],
        extras: &extras,
        again: None,
    };
    let begun = begin(&asked, &SystemEntropy).unwrap();
    let back = visit(drive, &begun.url).await;
    assert_eq!(back.get("state").map(String::as_str), Some("the-state"), "{back:?}");
    let exchange = CodeExchange {
        connector: drive.as_ref(),
        client: &client,
        code: &back["code"],
        verifier: begun.verifier.as_ref(),
        redirect_uri: BACK,
        asked: &begun.scopes,
    };
    let obtained = grants.exchange(exchange).await.unwrap();
    if twice {
        refused(grants.exchange(exchange).await);
    }
    obtained
}

fn refused<T>(outcome: Result<T, Error>) {
    let Err(Error::Connector(error)) = outcome else { panic!("it was taken") };
    assert_eq!(error.kind, Kind::Credential, "{error}");
}

async fn connect(
    house: &House,
    grants: &Grants,
    drive: &Arc<dyn Connector>,
    obtained: Obtained,
) -> Arc<Opened> {
    let new = NewGrant {
        application: house.app(),
        connector: drive.as_ref(),
        obtained,
        admin: false,
        settings: Settings::new(),
        scope: String::new(),
        display: None,
        custom_properties: BTreeMap::new(),
        again: None,
    };
    let connected = grants.connect(new, Arc::new(Nothing(house.clock.clone()))).await;
    connected.unwrap().opened
}

async fn live(base: &Url, client: &str, secret: &str, scratch: Scratch) -> Scratch {
    let house = House::on(scratch).await;
    house.clock.turn_seconds(SystemClock.now().seconds() - house.clock.now().seconds());
    let drive: Arc<dyn Connector> = Arc::new(Drive::provided_by(base));
    let mut clients = OperatorClients::default();
    clients.set("drive", false, client, Some(SecretString::from(secret.to_owned())));
    let grants = over_http(&house.directory, &drive, clients, GrantOptions::default());

    // A code that comes twice ends what it gave.
    let spoilt = obtain(&house, &grants, &drive, true).await.credential;
    let app = house.app();
    let prepare = |credential: &Credential| {
        let mut alone = credential.clone();
        alone.remove(ACCESS_TOKEN);
        let (grants, drive) = (&grants, &drive);
        async move { grants.prepare(app, drive.as_ref(), false, &Settings::new(), alone).await }
    };
    refused(prepare(&spoilt).await);

    let obtained = obtain(&house, &grants, &drive, false).await;
    assert!(obtained.token_expiry.is_some());
    let account = connect(&house, &grants, &drive, obtained).await;
    let mut tokens = vec![token(&grants, &account, None).await.unwrap()];
    let mut spent = Vec::new();
    for _ in 0..3 {
        let before = now(&house.directory, account.id()).await;
        spent.push(before.account.credential.clone());
        tokens.push(token(&grants, &account, tokens.last().map(String::as_str)).await.unwrap());
        let after = now(&house.directory, account.id()).await;
        assert_ne!(
            before.account.credential.get(REFRESH_TOKEN),
            after.account.credential.get(REFRESH_TOKEN),
            "the server rotates refresh tokens"
        );
        assert_eq!(after.account.revision, account.account.revision);
        house.clock.turn_seconds(11);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);

    // Somebody uses a spent token: the server ends the grant, and so it is called.
    refused(prepare(&spent[1]).await);
    let last = now(&house.directory, account.id()).await;
    let last = last.account.credential.get(ACCESS_TOKEN).unwrap().to_owned();
    let ended = token(&grants, &account, Some(&last)).await.unwrap_err();
    assert_eq!(ended.kind, Kind::Credential);
    let dead = now(&house.directory, account.id()).await;
    assert_eq!(dead.row.credential_state, CredentialState::Dead);
    assert_eq!(dead.row.credential_reason.as_deref(), Some("revoked"));

    let obtained = obtain(&house, &grants, &drive, false).await;
    let again = connect(&house, &grants, &drive, obtained).await;
    assert_eq!(again.id(), account.id());
    assert_eq!(again.row.credential_state, CredentialState::Ok);
    let fresh = token(&grants, &again, None).await.unwrap();
    assert_eq!(grants.revoke(&again).await, Revoked::Done);
    let ended = token(&grants, &again, Some(&fresh)).await.unwrap_err();
    assert_eq!(ended.kind, Kind::Credential);
    house.leave().await
}

#[tokio::test]
async fn a_grant_lives_rotates_and_ends_with_a_client_that_has_a_secret() {
    let Some(base) = base() else { return };
    on_each_engine(|scratch| live(&base, "cid", "csec", scratch)).await;
}

#[tokio::test]
async fn a_grant_lives_rotates_and_ends_with_a_client_that_signs_assertions() {
    let Some(base) = base() else { return };
    let key = tramontane_sandbox::robot_key();
    live(&base, "signer", &key, Scratch::sqlite().await).await.remove().await;
}
