//! Clients, authorization URLs, codes, service accounts, and giving grants back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::LOCATION;
use secrecy::{ExposeSecret as _, SecretString};
use tramontane_accounts::upstream::{
    Authorization, Begun, ClientOwner, CodeExchange, NewGrant, OperatorClients, Revoked, begin,
};
use tramontane_accounts::{Error, NewAccount, NewServiceKey};
use tramontane_connector::oauth::{ACCESS_TOKEN, REFRESH_TOKEN, SERVICE_ACCOUNT, SUBJECT};
use tramontane_connector::{ClientAuth, Credential, Kind, Settings, Tokens as _};
use tramontane_sandbox::{CLIENT_ID, CLIENT_SECRET, Issuer, find};
use tramontane_store::scratch::{Scratch, on_each_engine};
use tramontane_vault::SystemEntropy;
use url::Url;

use crate::drive::{
    Drive, Endpoint, Nothing, Trouble, granted, grants, grants_of, now, operator_clients, token,
};
use crate::house::House;

const BACK: &str = "https://tramontane.example.com/v1/oauth/callback";

fn pairs(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// The user says yes; gives the code.
fn consent(issuer: &Issuer, url: &Url) -> String {
    let mut form: BTreeMap<String, String> = pairs(url);
    form.extend([("person".into(), "ana".into()), ("decision".into(), "allow".into())]);
    let form: String =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let answer = issuer.decide(&form);
    let back = Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
    assert!(back.as_str().starts_with(BACK));
    pairs(&back).remove("code").unwrap()
}

#[tokio::test]
async fn an_account_is_connected_by_a_code_with_pkce_and_connected_again() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
        let grants = grants(&house.directory, &endpoint);
        let drive = Drive::new();
        let client = grants.client(house.app(), "drive", false).await.unwrap();
        assert_eq!(client.owner, ClientOwner::Operator);
        let extras = BTreeMap::new();
        let mut asked = Authorization {
            connector: &drive,
            client: &client,
            redirect_uri: BACK,
            state: "st",
            admin: false,
            apis: &["storage"],
            literal: &[],
            extras: &extras,
            again: None,
        };
        let connect = async |begun: Begun, again| {
            let obtained = grants
                .exchange(CodeExchange {
                    connector: &drive,
                    client: &client,
                    code: &consent(&endpoint.issuer, &begun.url),
                    verifier: begun.verifier.as_ref(),
                    redirect_uri: BACK,
                    asked: &begun.scopes,
                })
                .await
                .unwrap();
            let new = NewGrant {
                application: house.app(),
                connector: &drive,
                obtained,
                admin: false,
                settings: Settings::new(),
                scope: "drive:normal.storage.default:kloudless".into(),
                display: None,
                custom_properties: BTreeMap::new(),
                again,
            };
            grants.connect(new, Arc::new(Nothing(house.clock.clone()))).await.unwrap()
        };
        let begun = begin(&asked, &SystemEntropy).unwrap();
        let url = pairs(&begun.url);
        assert_eq!(url["brand"], "1", "what the service's URL has stays");
        assert_eq!(url["access_type"], "offline");
        assert_eq!(url["scope"], "profile files");
        assert_eq!(url["code_challenge_method"], "S256");
        let first = connect(begun, None).await;
        assert!(first.created);
        let (form, basic) = endpoint.seen.lock().unwrap()[0].clone();
        assert!(basic.unwrap().starts_with("Basic ") && !form.contains_key("client_secret"));
        let account = first.opened;
        assert_eq!(account.row.display, "ana@example.com");
        token(&grants, &account, None).await.unwrap();

        asked.apis = &["events"];
        asked.again = Some(&account);
        let begun = begin(&asked, &SystemEntropy).unwrap();
        let url = pairs(&begun.url);
        assert_eq!(url["scope"], "profile changes files", "what was granted is asked for as well");
        assert_eq!(url["login_hint"], "ana@example.com");
        let second = connect(begun, Some(&account)).await;
        assert!(!second.created);
        assert_eq!(second.opened.id(), account.id());
        let granted = second.opened.account.credential.get("granted_scopes");
        assert_eq!(granted, Some("profile changes files"));
        assert!(second.opened.account.revision > account.account.revision);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn codes_that_do_not_fit_and_answers_that_are_none_are_refused() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
    let grants = grants(&house.directory, &endpoint);
    let drive = Drive::new();
    let client = grants.client(house.app(), "drive", false).await.unwrap();
    let asked = Authorization {
        connector: &drive,
        client: &client,
        redirect_uri: BACK,
        state: "st",
        admin: false,
        apis: &[],
        literal: &[],
        extras: &BTreeMap::new(),
        again: None,
    };
    let fresh = || {
        let begun = begin(&asked, &SystemEntropy).unwrap();
        (consent(&endpoint.issuer, &begun.url), begun.verifier.unwrap())
    };
    let exchange = async |code: &str, verifier: &SecretString, redirect_uri: &str| {
        let asked = CodeExchange {
            connector: &drive,
            client: &client,
            code,
            verifier: Some(verifier),
            redirect_uri,
            asked: &[],
        };
        match grants.exchange(asked).await {
            Ok(_) => "ok".to_owned(),
            Err(Error::Connector(error)) => format!("{:?}: {error}", error.kind),
            Err(error) => error.to_string(),
        }
    };
    let (code, verifier) = fresh();
    let (_, of_another_session) = fresh();
    let refused = exchange(&code, &of_another_session, BACK).await;
    assert!(refused.starts_with("Credential"), "{refused}");
    let refused = exchange(&code, &verifier, BACK).await;
    assert!(refused.starts_with("Credential"), "a code is good once: {refused}");
    let (code, verifier) = fresh();
    let refused = exchange(&code, &verifier, "https://evil.example.com/").await;
    assert!(refused.starts_with("Credential"), "{refused}");
    let long = "a".repeat(9_000);
    for bad in ["", "a\r\nb", long.as_str()] {
        let calls = endpoint.calls();
        assert!(exchange(bad, &verifier, BACK).await.starts_with("code"));
        assert_eq!(endpoint.calls(), calls);
    }
    let huge = format!("{{\"access_token\": \"{}\"}}", "a".repeat(1 << 20));
    for (answer, says) in [
        ("<html>", "no JSON"),
        (huge.as_str(), "128 KB"),
        ("{\"access_token\": \"a\\u0000b\"}", "odd characters"),
    ] {
        let (code, verifier) = fresh();
        endpoint.next(Trouble::Say(200, answer.into()));
        let refused = exchange(&code, &verifier, BACK).await;
        assert!(refused.starts_with("Broken") && refused.contains(says), "{refused}");
        let calls = endpoint.calls();
        assert!(!refused.contains("aaa") && calls == endpoint.calls());
    }
}

#[tokio::test]
async fn extras_add_to_the_login_page_and_replace_nothing() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
    let grants = grants(&house.directory, &endpoint);
    let client = grants.client(house.app(), "drive", false).await.unwrap();
    let drive = Drive::with(ClientAuth::Body, false);
    let literal = ["mail.read offline".to_owned()];
    let url = |extras: &[(&str, &str)]| {
        let extras = extras.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let extras: BTreeMap<String, String> = extras.collect();
        let asked = Authorization {
            connector: &drive,
            client: &client,
            redirect_uri: BACK,
            state: "st",
            admin: false,
            apis: &[],
            literal: &literal,
            extras: &extras,
            again: None,
        };
        begin(&asked, &SystemEntropy)
    };
    let begun = url(&[("login_hint", "ana@example.com"), ("access_type", "online")]).unwrap();
    let found = pairs(&begun.url);
    assert_eq!(found["login_hint"], "ana@example.com");
    assert_eq!(found["access_type"], "offline");
    assert_eq!(found["scope"], "profile mail.read offline");
    assert!(begun.verifier.is_none() && !found.contains_key("code_challenge"));
    assert_eq!(begun.url.query_pairs().filter(|(name, _)| name == "access_type").count(), 1);
    let long = "x".repeat(9_000);
    for bad in [
        ("client_id", "x"),
        ("redirect_uri", "https://evil.example.com/"),
        ("Response_Type", "token"),
        ("response_mode", "web_message"),
        ("scope", "all"),
        ("state", "x"),
        ("nonce", "x"),
        ("code_challenge", "x"),
        ("code_challenge_method", "plain"),
        ("request", "eyJ"),
        ("request_uri", "https://evil.example.com/"),
        ("", "x"),
        ("theme", long.as_str()),
    ] {
        let refused = url(&[bad]).unwrap_err();
        assert!(matches!(&refused, Error::Invalid { field, .. } if field.starts_with("raw")));
    }
}

#[tokio::test]
async fn an_applications_own_client_comes_first_and_a_grant_stays_with_its_client() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
        let (app, none) = (house.app(), OperatorClients::default());
        let grants = grants(&house.directory, &endpoint);
        let without = grants_of(&house.directory, &endpoint, none, Drive::new());
        let refused = without.client(app, "drive", false).await.unwrap_err().to_string();
        assert!(refused.contains("service keys") && refused.contains("oauth_clients"), "{refused}");
        assert!(!without.has_client(app, "drive", true).await.unwrap());
        let account = {
            let mut new = granted(&endpoint, &house.clock);
            new.credential.set("client_id", CLIENT_ID);
            house.directory.import(app, new).await.unwrap().opened
        };
        let key = NewServiceKey {
            service: "drive".into(),
            admin: false,
            client_id: "own".into(),
            client_secret: Some(SecretString::from("hush")),
            scopes: Some(serde_json::json!(["files.read"])),
        };
        let made = house.directory.create_service_key(app, &key).await.unwrap();
        let own = grants.client(app, "drive", false).await.unwrap();
        assert_eq!((own.id.as_str(), own.owner), ("own", ClientOwner::ServiceKey(made.id)));
        assert_eq!(own.secret.unwrap().expose_secret(), "hush");
        assert_eq!(own.scopes.unwrap(), ["files.read"]);
        assert!(without.has_client(app, "drive", true).await.unwrap(), "better than none");
        // The grant of before is the operator's client's, and is refreshed with that.
        house.clock.turn_seconds(3_600);
        token(&grants, &account, None).await.unwrap();
        // Where that client is gone, the grant is not called dead: it can be configured again.
        let account = now(&house.directory, account.id()).await;
        house.clock.turn_seconds(3_600);
        let refused = token(&without, &account, None).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Broken);
        assert!(refused.message.contains(CLIENT_ID), "{refused}");
        let after = now(&house.directory, account.id()).await;
        assert_eq!(after.row.credential_state.as_str(), "ok");
        token(&grants, &after, None).await.unwrap();
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn clients_show_themselves_by_body_or_by_a_signed_assertion() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
    for secret in [CLIENT_SECRET.to_owned(), tramontane_sandbox::robot_key()] {
        let signs = secret.starts_with('{');
        let mut clients = OperatorClients::default();
        clients.set("drive", false, CLIENT_ID, Some(SecretString::from(secret)));
        let drive = Drive::with(ClientAuth::Body, true);
        let grants = grants_of(&house.directory, &endpoint, clients, drive);
        let new = granted(&endpoint, &house.clock);
        let account = house.directory.import(house.app(), new).await.unwrap().opened;
        house.clock.turn_seconds(3_600);
        token(&grants, &account, None).await.unwrap();
        let (form, basic) = endpoint.seen.lock().unwrap().pop().unwrap();
        assert_eq!(basic, None);
        assert_eq!(form["client_id"], CLIENT_ID);
        assert_eq!(form.contains_key("client_assertion"), signs);
        assert_eq!(form.contains_key("client_secret"), !signs);
    }
}

#[tokio::test]
async fn a_service_account_gets_a_token_for_each_member_and_keeps_it_in_memory() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
    let grants = grants(&house.directory, &endpoint);
    let new = NewAccount {
        service: "drive".into(),
        admin: true,
        identity: None,
        display: "example.com".into(),
        settings: Settings::from([(SUBJECT.into(), "ada@example.com".into())]),
        credential: Credential::from_iter([(SERVICE_ACCOUNT, "true")]),
        custom_properties: BTreeMap::new(),
        scope: String::new(),
        token_expiry: None,
        refresh_token_expiry: None,
    };
    let account = house.directory.import(house.app(), new).await.unwrap().opened.account.clone();
    let whose = async |subject: Option<&str>| {
        let token = grants.access_token(&account, subject, None).await?;
        let bearer = endpoint.issuer.bearer_of(token.expose_secret()).unwrap();
        assert_eq!(bearer.scope, "files.all");
        Ok::<_, tramontane_connector::Error>(bearer.person.id)
    };
    assert_eq!(whose(None).await.unwrap(), "ada");
    assert_eq!(whose(Some("ben@example.com")).await.unwrap(), "ben");
    let calls = endpoint.calls();
    assert_eq!(whose(Some("ben@example.com")).await.unwrap(), "ben");
    assert_eq!(endpoint.calls(), calls);
    let refused = whose(Some("nobody@example.com")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Forbidden);
    whose(Some("nobody@example.com")).await.unwrap_err();
    assert_eq!(endpoint.calls(), calls + 1, "a refusal is repeated for a while");
    house.clock.turn_seconds(3_600);
    assert_eq!(whose(Some("ben@example.com")).await.unwrap(), "ben");
    assert_eq!(endpoint.calls(), calls + 2);
}

/// Where assertions are made for members, the token of whoever consented opens their own things alone.
#[tokio::test]
async fn a_consent_is_not_used_for_a_member_where_a_service_account_would_be_needed() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
    let grants = grants(&house.directory, &endpoint);
    let new = NewAccount { admin: true, ..granted(&endpoint, &house.clock) };
    let account = house.directory.import(house.app(), new).await.unwrap().opened.account.clone();
    assert!(grants.access_token(&account, None, None).await.is_ok());
    let refused = grants.access_token(&account, Some("ben@example.com"), None).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Forbidden);
}

#[tokio::test]
async fn a_refresh_token_alone_is_enough_to_connect() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
    let grants = grants(&house.directory, &endpoint);
    let mut new = granted(&endpoint, &house.clock);
    new.credential.remove(ACCESS_TOKEN);
    new.token_expiry = None;
    let ready = grants
        .prepare(house.app(), &Drive::new(), false, &Settings::new(), new.credential.clone())
        .await
        .unwrap();
    assert!(ready.tried.get(ACCESS_TOKEN).is_some());
    assert_ne!(ready.kept.get(REFRESH_TOKEN), new.credential.get(REFRESH_TOKEN));
    new.credential = ready.kept;
    new.credential.remove(ACCESS_TOKEN);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    let fresh = token(&grants, &account, None).await.unwrap();
    assert!(endpoint.issuer.bearer_of(&fresh).is_some());
}

#[tokio::test]
async fn a_grant_is_given_back_as_well_as_it_can_be() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
    let grants = grants(&house.directory, &endpoint);
    let new = granted(&endpoint, &house.clock);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    endpoint.next(Trouble::Say(503, String::new()));
    assert!(matches!(grants.revoke(&account).await, Revoked::Failed(_)));
    assert!(endpoint.issuer.stands(find("ana").unwrap()));
    assert_eq!(grants.revoke(&account).await, Revoked::Done);
    assert!(!endpoint.issuer.stands(find("ana").unwrap()));
    assert_eq!(grants.revoke(&account).await, Revoked::Done, "what is gone is given back");
    let other = house.connect("dav").await;
    assert_eq!(grants.revoke(&other).await, Revoked::NotPossible);
}

#[tokio::test]
async fn a_service_that_wants_a_live_token_to_end_a_grant_gets_one() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, Duration::ZERO);
    let grants = grants_of(
        &house.directory,
        &endpoint,
        operator_clients(),
        Drive::with_its_own_revocation(),
    );
    let new = granted(&endpoint, &house.clock);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    // What is kept has expired: a token is fetched first.
    endpoint.issuer.expire_access();
    house.clock.turn_seconds(86_400);
    assert_eq!(grants.revoke(&account).await, Revoked::Done);
    assert!(!endpoint.issuer.stands(find("ana").unwrap()));
}
