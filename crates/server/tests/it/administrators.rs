//! An administrator goes through the hosted connect page (`SERVICE:admin`), and the account that comes of
//! it is used: the whole way over HTTP, from the running binary to the simulated services and back.

use std::collections::BTreeMap;
use std::net::TcpListener;

use serde_json::{Value, json};
use url::Url;

use crate::house::{Answer, Server, ask};

const CALLBACK: &str = "http://localhost/callback";

/// An exchange with whatever listens there.
fn exchange(method: &str, url: &Url, headers: &[String], body: &str) -> Answer {
    let address = url.socket_addrs(|| None).unwrap()[0];
    let target = &url[url::Position::BeforePath..];
    let head = [&[format!("{method} {target}")], headers].concat().join("\n");
    ask(address, &head, body).unwrap()
}

fn form_of(pairs: &[(String, String)]) -> String {
    let mut text = Url::parse("form:").unwrap();
    text.query_pairs_mut().extend_pairs(pairs);
    text.query().unwrap_or_default().to_owned()
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";

/// A browser: cookies by host and port, redirects followed by hand.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a browser has come to, and what it shows.
struct Page {
    url: Url,
    status: u16,
    text: String,
}

impl Browser {
    /// Goes there, and wherever it is sent on to, but not into the application itself.
    fn go(&mut self, mut url: Url, mut form: Option<String>) -> Page {
        for _ in 0..12 {
            let jar = self.cookies.entry(url.authority().to_owned()).or_default();
            let pairs: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut headers = vec![FORM.to_owned()];
            if !pairs.is_empty() {
                headers.push(format!("cookie: {}", pairs.join("; ")));
            }
            let method = if form.is_some() { "POST" } else { "GET" };
            let answer = exchange(method, &url, &headers, &form.take().unwrap_or_default());
            for cookie in answer.headers("set-cookie") {
                let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
                jar.insert(name.to_owned(), value.to_owned());
            }
            match answer.headers("location").first() {
                Some(next) if (300..400).contains(&answer.status) => url = url.join(next).unwrap(),
                _ => return Page { url, status: answer.status, text: answer.text },
            }
            if url.as_str().starts_with(CALLBACK) {
                return Page { url, status: answer.status, text: String::new() };
            }
        }
        panic!("sent on and on, last to {url}");
    }

    /// Says who it is on the sandbox's consent page.
    fn consent(&mut self, page: &Page, person: &str) -> Page {
        assert!(page.text.contains("Tramontane asks for access"), "{}: {}", page.url, page.text);
        let mut form = Vec::new();
        for input in page.text.split("<input ").skip(1) {
            let value = |name: &str| {
                let at = input.split_once(&format!("{name}=\"")).unwrap().1;
                let text = at.split_once('"').unwrap().0;
                text.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&")
            };
            form.push((value("name"), value("value")));
        }
        form.push(("person".to_owned(), person.to_owned()));
        let mut there = page.url.clone();
        there.set_query(None);
        self.go(there, Some(form_of(&form)))
    }
}

/// The binary with its sandbox, and an application of its own.
struct Stage {
    _data: tempfile::TempDir,
    server: Server,
    base: Url,
    application: String,
}

impl Stage {
    fn set() -> Self {
        let data = tempfile::tempdir().unwrap();
        // The port is free now; nothing else on this machine asks for it by number.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = format!("--sandbox-listen={free}");
        let server = Server::start(data.path(), &["--sandbox=true", &listen]);
        let printed = |name: &str| server.printed[name].as_str().unwrap().to_owned();
        let (base, application) = (Url::parse(&printed("url")).unwrap(), printed("application"));
        let meta = format!("authorization: Bearer {}", printed("meta_token"));
        let url = base.join(&format!("/v1/meta/applications/{application}/redirect_uris"));
        let headers = [meta, "content-type: application/json".into()];
        let body = json!({"url": CALLBACK}).to_string();
        assert_eq!(exchange("POST", &url.unwrap(), &headers, &body).status, 201);
        Self { _data: data, server, base, application }
    }

    /// Connects with this scope as this person; gives the token of the account.
    fn connect(&self, scope: &str, person: &str) -> String {
        let mut browser = Browser::default();
        let query = [
            ("client_id", self.application.as_str()),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", scope),
            ("state", "s1"),
        ];
        let mut start = self.base.join("/v1/oauth").unwrap();
        start.query_pairs_mut().extend_pairs(query);
        let page = browser.go(start, None);
        let back = browser.consent(&page, person);
        let arrived = back.url.as_str().starts_with(CALLBACK);
        assert!(arrived, "{} {}: {}", back.status, back.url, back.text);
        let told: BTreeMap<String, String> = back.url.query_pairs().into_owned().collect();
        assert_eq!(told["state"], "s1", "{told:?}");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", told["code"].as_str()),
            ("redirect_uri", CALLBACK),
            ("client_id", self.application.as_str()),
            ("client_secret", self.server.printed["api_key"].as_str().unwrap()),
        ];
        let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = self.base.join("/v1/oauth/token").unwrap();
        let given = exchange("POST", &url, &[FORM.to_owned()], &form_of(&form)).json();
        given["access_token"].as_str().unwrap().to_owned()
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, Value) {
        let url = self.base.join(&format!("/v1/accounts/me{path}")).unwrap();
        let mut lines = vec![format!("authorization: Bearer {token}")];
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let answer = exchange(method, &url, &lines, body);
        (answer.status, answer.json())
    }

    fn get(&self, path: &str, token: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        self.ask("GET", path, token, headers, "")
    }
}

fn names(list: &Value, name: &str) -> Vec<String> {
    let objects = list["objects"].as_array().unwrap();
    let mut all: Vec<_> =
        objects.iter().map(|one| one[name].as_str().unwrap_or_default().to_owned()).collect();
    all.sort();
    all
}

const ROOT: &str = "/storage/folders/root/contents";

/// The account is the organisation's: it lists the people; gives the ids of Ana and Ben.
fn people(stage: &Stage, token: &str) -> [String; 2] {
    let (status, account) = stage.get("", token, &[]);
    assert_eq!((status, &account["admin"]), (200, &json!(true)), "{account}");
    let (status, users) = stage.get("/team/users", token, &[]);
    assert_eq!(status, 200, "{users}");
    let emails = names(&users, "email");
    assert!(emails.contains(&"ana@example.com".to_owned()), "{users}");
    let of = |email: &str| {
        let found = users["objects"].as_array().unwrap().iter().find(|one| one["email"] == email);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    [of("ana@example.com"), of("ben@example.com")]
}

#[test]
fn an_administrator_connects_an_organisation_and_acts_as_its_members() {
    let stage = Stage::set();
    for service in ["dropbox", "box"] {
        let token = stage.connect(&format!("{service}:admin"), "ada");
        let [ana, ben] = people(&stage, &token);
        // Without a member there is no data that could be meant.
        assert_eq!(stage.get(ROOT, &token, &[]).0, 400, "{service}");
        let metadata = ("x-kloudless-metadata", r#"{"name": "of ana.txt", "parent_id": "root"}"#);
        let how = [("x-kloudless-as-user", ana.as_str()), metadata];
        let (status, made) = stage.ask("POST", "/storage/files", &token, &how, "x");
        assert_eq!(status, 201, "{service}: {made}");
        let listed = |member: &str| {
            let (status, list) = stage.get(ROOT, &token, &[("x-kloudless-as-user", member)]);
            assert_eq!(status, 200, "{service}: {list}");
            names(&list, "name")
        };
        assert_eq!(listed(&ana), ["of ana.txt"], "{service}");
        assert!(listed(&ben).is_empty(), "{service}");
        // It is Ana's own account that it lies in.
        let own = stage.connect(service, "ana");
        let (_, list) = stage.get(ROOT, &own, &[]);
        assert_eq!(names(&list, "name"), ["of ana.txt"], "{service}");
        let (status, _) = stage.get("/team/users", &own, &[]);
        assert_eq!(status, 403, "{service}: her account is none of an administrator's");
        let nobody = [("x-kloudless-as-user", "user_dS0x")];
        assert_eq!(stage.get(ROOT, &token, &nobody).0, 404, "{service}");
    }
}

/// Google lets service accounts act for members, and nobody's consent (domain-wide delegation): such an
/// account lists the people, and must not give an administrator's files out as a member's.
#[test]
fn an_administrator_of_google_lists_people_and_acts_for_none() {
    let stage = Stage::set();
    let own = stage.connect("gdrive", "ada");
    let metadata = [("x-kloudless-metadata", r#"{"name": "of ada.txt", "parent_id": "root"}"#)];
    assert_eq!(stage.ask("POST", "/storage/files", &own, &metadata, "x").0, 201);
    let token = stage.connect("gdrive:admin", "ada");
    let [ana, _] = people(&stage, &token);
    let (status, groups) = stage.get("/team/groups", &token, &[]);
    assert!(status == 200 && !groups["objects"].as_array().unwrap().is_empty(), "{groups}");
    let (status, refused) = stage.get(ROOT, &token, &[("x-kloudless-as-user", &ana)]);
    assert_eq!(status, 403, "{refused}");
    let told = refused["message"].as_str().unwrap();
    assert!(told.contains("service account"), "{told}");
}

/// Service accounts: nobody consents, the application's own credential stands for the organisation. The
/// binary gets its tokens the whole way, from the import to calls as members.
#[test]
fn a_service_account_is_imported_and_acts_as_members() {
    let stage = Stage::set();
    let key = stage.server.printed["api_key"].as_str().unwrap();
    let import = |body: &Value| {
        let url = stage.base.join("/v1/accounts?verify=true").unwrap();
        let headers =
            [format!("authorization: APIKey {key}"), "content-type: application/json".into()];
        let made = exchange("POST", &url, &headers, &body.to_string());
        (made.status, made.json())
    };
    let ask = |method: &str, account: &Value, path: &str, more: &[String], body: &str| {
        let url = stage.base.join(&format!("/v1/accounts/{}{path}", account["id"])).unwrap();
        let headers = [&[format!("authorization: APIKey {key}")], more].concat();
        let answer = exchange(method, &url, &headers, body);
        (answer.status, answer.json())
    };
    for (service, member) in
        [("onedrivebiz", json!({"tenant": "example.com"})), ("box", json!({"subject": "881001"}))]
    {
        let mut body = json!({"service": service, "account": "example.com", "admin": true, "service_account": "true"});
        body.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        let (status, account) = import(&body);
        assert!(matches!(status, 200 | 201), "{service}: {account}");
        assert_eq!(account["admin"], true, "{account}");
        let (status, users) = ask("GET", &account, "/team/users", &[], "");
        assert_eq!(status, 200, "{service}: {users}");
        let users = users["objects"].as_array().unwrap().clone();
        let ana = users.iter().find(|one| one["email"] == "ana@example.com").unwrap();
        let as_ana = format!("x-kloudless-as-user: {}", ana["id"].as_str().unwrap());
        let metadata = r#"x-kloudless-metadata: {"name": "of ana.txt", "parent_id": "root"}"#;
        let how = [as_ana.clone(), metadata.to_owned()];
        let (status, made) = ask("POST", &account, "/storage/files", &how, "x");
        assert_eq!(status, 201, "{service}: {made}");
        let (status, list) = ask("GET", &account, ROOT, &[as_ana], "");
        assert_eq!(
            (status, names(&list, "name")),
            (200, vec!["of ana.txt".to_owned()]),
            "{service}"
        );
        // Wrong facts are told when the account is made, not later.
        for (name, value) in member.as_object().unwrap() {
            assert!(value.is_string());
            body[name] = json!("7");
            let (status, refused) = import(&body);
            assert!(status >= 400, "{service}: {status} {refused}");
            assert!(
                refused["service_error"]["code"].is_string(),
                "in the service's words: {refused}"
            );
        }
    }
    let sites = json!({"service": "sharepoint", "account": "example.com", "admin": true,
        "service_account": "true", "tenant": "example.com"});
    let (status, account) = import(&sites);
    assert!(matches!(status, 200 | 201), "{account}");
    let (status, list) = ask("GET", &account, ROOT, &[], "");
    assert!(status == 200 && !list["objects"].as_array().unwrap().is_empty(), "{list}");
}
