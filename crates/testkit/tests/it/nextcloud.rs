//! A simulated Nextcloud: what the connector relies on of sabre/dav's conditions, `oc:` properties,
//! search, chunked upload, trash and versions, written from Nextcloud's developer manual. It is no
//! Nextcloud, and what passes here has still to be seen against one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tramontane_model::Timestamp;

type Answer = (StatusCode, Vec<(&'static str, String)>, Bytes);

#[derive(Clone)]
struct Node {
    /// `None` for a folder.
    content: Option<Bytes>,
    mtime: i64,
    id: u64,
    tag: u64,
    versions: BTreeMap<i64, Bytes>,
}

struct Thrown {
    /// Without the slash at the beginning.
    from: String,
    at: i64,
    nodes: BTreeMap<String, Node>,
}

#[derive(Default)]
struct Cloud {
    /// By path below the user's root, `/a/b`; the root is the empty path.
    files: BTreeMap<String, Node>,
    trash: BTreeMap<String, Thrown>,
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    count: u64,
}

type Shared = Arc<Mutex<Cloud>>;

fn plain(status: u16) -> Answer {
    let text = "<?xml version=\"1.0\"?><d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\">\
                <s:message>as simulated</s:message></d:error>";
    let body = if status >= 300 { text } else { "" };
    let kind = vec![("content-type", "application/xml; charset=utf-8".to_owned())];
    (StatusCode::from_u16(status).unwrap(), kind, Bytes::from(body))
}

fn decode(path: &str) -> String {
    percent_decode_str(path).decode_utf8().unwrap().into_owned()
}

fn encode(path: &str) -> String {
    let parts = path.split('/').map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string());
    parts.collect::<Vec<_>>().join("/")
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The path below `/remote.php/dav` of a `Destination`.
fn destination(headers: &HeaderMap) -> String {
    let text = header(headers, "destination").unwrap();
    let at = text.find("/remote.php/dav").unwrap();
    decode(text[at..].trim_start_matches("/remote.php/dav").trim_end_matches('/'))
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Cloud {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn now(&mut self) -> i64 {
        1_700_000_000 + i64::try_from(self.next()).unwrap()
    }

    fn is_folder(&self, path: &str) -> bool {
        self.files.get(path).is_some_and(|node| node.content.is_none())
    }

    /// The paths of what is at this path and below it.
    fn tree(&self, path: &str) -> Vec<String> {
        let below = format!("{path}/");
        self.files.keys().filter(|key| *key == path || key.starts_with(&below)).cloned().collect()
    }

    fn response(href: &str, node: &Node, extra: &str) -> String {
        let kind = if node.content.is_none() { "<d:collection/>" } else { "" };
        let size = node.content.as_ref().map_or(String::new(), |content| {
            format!("<d:getcontentlength>{}</d:getcontentlength>", content.len())
        });
        format!(
            "<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:resourcetype>{kind}</d:resourcetype>{size}\
             <d:getlastmodified>{}</d:getlastmodified><d:getetag>&quot;{}&quot;</d:getetag><oc:fileid>{}</oc:fileid>\
             <oc:permissions>RGDNVWCK</oc:permissions><d:quota-used-bytes>100</d:quota-used-bytes>\
             <d:quota-available-bytes>-3</d:quota-available-bytes>{extra}</d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>",
            Timestamp::from_seconds(node.mtime).to_http_date(),
            node.tag,
            node.id,
        )
    }

    fn multistatus(responses: &str) -> Answer {
        let text = format!(
            "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\" \
             xmlns:nc=\"http://nextcloud.org/ns\">{responses}</d:multistatus>"
        );
        let kind = vec![("content-type", "application/xml; charset=utf-8".to_owned())];
        (StatusCode::MULTI_STATUS, kind, Bytes::from(text))
    }

    fn href(&self, path: &str) -> String {
        let slash = if self.is_folder(path) { "/" } else { "" };
        format!("/remote.php/dav/files/ann{}{slash}", encode(path))
    }

    fn propfind(&self, path: &str, depth: &str) -> Answer {
        let Some(node) = self.files.get(path) else { return plain(404) };
        let mut text = Self::response(&self.href(path), node, "");
        if depth == "1" {
            let children =
                self.files.iter().filter(|(key, _)| !key.is_empty() && parent(key) == path);
            for (key, child) in children.filter(|(key, _)| key.as_str() != path) {
                text.push_str(&Self::response(&self.href(key), child, ""));
            }
        }
        Self::multistatus(&text)
    }

    fn put(&mut self, path: &str, headers: &HeaderMap, content: Bytes) -> Answer {
        let there = self.files.get(path).cloned();
        let tag = there.as_ref().map(|node| format!("\"{}\"", node.tag));
        if header(headers, "if-none-match") == Some("*") && there.is_some() {
            return plain(412);
        }
        if header(headers, "if-match").is_some_and(|wanted| tag.as_deref() != Some(wanted)) {
            return plain(412);
        }
        if self.is_folder(path) || !self.is_folder(parent(path)) {
            return plain(409);
        }
        let given = header(headers, "x-oc-mtime").and_then(|time| time.parse().ok());
        let mtime = given.unwrap_or_else(|| self.now());
        let (id, tag) = (self.next(), self.next());
        let mut node = Node { content: Some(content), mtime, id, tag, versions: BTreeMap::new() };
        let existed = there.is_some();
        if let Some(old) = there {
            node.id = old.id;
            node.versions = old.versions;
            node.versions.insert(old.mtime, old.content.unwrap_or_default());
        }
        self.files.insert(path.to_owned(), node);
        plain(if existed { 204 } else { 201 })
    }

    fn mkcol(&mut self, path: &str) -> Answer {
        if self.files.contains_key(path) {
            return plain(405);
        }
        if !self.is_folder(parent(path)) {
            return plain(409);
        }
        let (mtime, id, tag) = (self.now(), self.next(), self.next());
        let node = Node { content: None, mtime, id, tag, versions: BTreeMap::new() };
        self.files.insert(path.to_owned(), node);
        plain(201)
    }

    fn transfer(&mut self, from: &str, headers: &HeaderMap, moves: bool) -> Answer {
        let target = destination(headers);
        let to = target.strip_prefix("/files/ann").unwrap().to_owned();
        if !self.files.contains_key(from) {
            return plain(404);
        }
        if !self.is_folder(parent(&to)) {
            return plain(409);
        }
        let there = self.files.contains_key(&to);
        if there && header(headers, "overwrite") == Some("F") {
            return plain(412);
        }
        for old in self.tree(&to) {
            self.files.remove(&old);
        }
        for key in self.tree(from) {
            let mut node = self.files.get(&key).cloned().unwrap();
            if moves {
                self.files.remove(&key);
            } else {
                (node.id, node.tag) = (self.next(), self.next());
                node.versions.clear();
            }
            self.files.insert(format!("{to}{}", &key[from.len()..]), node);
        }
        plain(if there { 204 } else { 201 })
    }

    fn delete(&mut self, path: &str) -> Answer {
        if !self.files.contains_key(path) {
            return plain(404);
        }
        let at = self.now();
        let name = path.rsplit('/').next().unwrap();
        let mut nodes = BTreeMap::new();
        for key in self.tree(path) {
            nodes.insert(key[path.len()..].to_owned(), self.files.remove(&key).unwrap());
        }
        let thrown = Thrown { from: path.trim_start_matches('/').to_owned(), at, nodes };
        self.trash.insert(format!("{name}.d{at}"), thrown);
        plain(204)
    }

    fn get(&self, path: &str, headers: &HeaderMap) -> Answer {
        let Some(node) = self.files.get(path) else { return plain(404) };
        let Some(content) = &node.content else { return plain(501) };
        serve(content, node, headers)
    }

    fn trash(&mut self, method: &str, rest: &str, headers: &HeaderMap) -> Answer {
        let key = rest.strip_prefix("/trash").unwrap().trim_matches('/').to_owned();
        match (method, key.is_empty()) {
            ("PROPFIND", true) => {
                let mut text = String::from(
                    "<d:response><d:href>/remote.php/dav/trashbin/ann/trash/</d:href><d:propstat><d:prop>\
                     <d:resourcetype><d:collection/></d:resourcetype></d:prop>\
                     <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>",
                );
                for (key, thrown) in &self.trash {
                    let node = thrown.nodes.get("").unwrap();
                    let slash = if node.content.is_none() { "/" } else { "" };
                    let href = format!("/remote.php/dav/trashbin/ann/trash/{}{slash}", encode(key));
                    let name = thrown.from.rsplit('/').next().unwrap();
                    let extra = format!(
                        "<nc:trashbin-filename>{}</nc:trashbin-filename><nc:trashbin-original-location>{}\
                         </nc:trashbin-original-location><nc:trashbin-deletion-time>{}</nc:trashbin-deletion-time>",
                        xml(name),
                        xml(&thrown.from),
                        thrown.at
                    );
                    text.push_str(&Self::response(&href, node, &extra));
                }
                Self::multistatus(&text)
            }
            ("DELETE", true) => {
                self.trash.clear();
                plain(204)
            }
            ("DELETE", false) => plain(if self.trash.remove(&key).is_some() { 204 } else { 404 }),
            ("MOVE", false) => {
                assert!(destination(headers).starts_with("/trashbin/ann/restore/"));
                let Some(thrown) = self.trash.remove(&key) else { return plain(404) };
                for (rest, node) in thrown.nodes {
                    self.files.insert(format!("/{}{rest}", thrown.from), node);
                }
                plain(201)
            }
            _ => plain(405),
        }
    }

    fn versions(&mut self, method: &str, rest: &str, headers: &HeaderMap) -> Answer {
        let rest = rest.strip_prefix("/versions/").unwrap().trim_end_matches('/');
        let (id, version) = rest.split_once('/').unwrap_or((rest, ""));
        let path = self.files.iter().find(|(_, node)| node.id.to_string() == id);
        let Some((path, node)) = path.map(|(path, node)| (path.clone(), node.clone())) else {
            return plain(404);
        };
        let old = version.parse::<i64>().ok().and_then(|time| node.versions.get(&time).cloned());
        match (method, old) {
            ("PROPFIND", None) => {
                let top = format!("/remote.php/dav/versions/ann/versions/{id}");
                let folder = Node { content: None, ..node.clone() };
                let mut text = Self::response(&format!("{top}/"), &folder, "");
                for (time, content) in &node.versions {
                    let one = Node { content: Some(content.clone()), mtime: *time, ..node.clone() };
                    text.push_str(&Self::response(&format!("{top}/{time}"), &one, ""));
                }
                Self::multistatus(&text)
            }
            ("GET", Some(old)) => serve(&old, &node, headers),
            ("MOVE", Some(old)) => {
                assert_eq!(destination(headers), "/versions/ann/restore/target");
                self.put(&path, &HeaderMap::new(), old)
            }
            ("DELETE", Some(_)) => {
                let time = version.parse::<i64>().unwrap();
                self.files.get_mut(&path).unwrap().versions.remove(&time);
                plain(204)
            }
            _ => plain(404),
        }
    }

    fn uploads(&mut self, method: &str, rest: &str, headers: &HeaderMap, body: Bytes) -> Answer {
        let rest = rest.trim_matches('/');
        let (name, part) = rest.split_once('/').unwrap_or((rest, ""));
        // Version 2 of the protocol wants to know from the first request on where the file goes.
        if method != "DELETE" && !destination(headers).starts_with("/files/ann/") {
            return plain(400);
        }
        match (method, part) {
            ("MKCOL", "") => {
                self.uploads.insert(name.to_owned(), BTreeMap::new());
                plain(201)
            }
            ("DELETE", "") => plain(if self.uploads.remove(name).is_some() { 204 } else { 404 }),
            ("PUT", number) => match (self.uploads.get_mut(name), number.parse::<u32>()) {
                (Some(parts), Ok(number)) if (1..=10_000).contains(&number) => {
                    parts.insert(number, body);
                    plain(201)
                }
                (None, _) => plain(404),
                _ => plain(400),
            },
            ("MOVE", ".file") => {
                let target = destination(headers).strip_prefix("/files/ann").unwrap().to_owned();
                if self.files.contains_key(&target) && header(headers, "overwrite") == Some("F") {
                    return plain(412);
                }
                let Some(parts) = self.uploads.get(name) else { return plain(404) };
                let whole: Vec<u8> = parts.values().flatten().copied().collect();
                let total = header(headers, "oc-total-length").and_then(|text| text.parse().ok());
                if total != Some(whole.len()) {
                    return plain(400);
                }
                self.uploads.remove(name);
                self.put(&target, headers, Bytes::from(whole))
            }
            _ => plain(405),
        }
    }

    /// Of pictures only, by the number of the file; the picture itself serves for its preview.
    fn preview(&self, query: &str) -> Answer {
        let id = query.strip_prefix("fileId=").unwrap().split('&').next().unwrap();
        let found = self.files.iter().find(|(_, node)| node.id.to_string() == id);
        match found {
            Some((path, Node { content: Some(content), .. })) if path.ends_with(".png") => {
                let kind = vec![("content-type", "image/png".to_owned())];
                (StatusCode::OK, kind, content.clone())
            }
            _ => plain(404),
        }
    }

    /// DASL as far as the connector writes it.
    fn search(&self, body: &str) -> Answer {
        let between = |from: &str, to: &str| {
            let rest = body.split_once(from)?.1;
            Some(rest.split_once(to)?.0.to_owned())
        };
        let scope = decode(&between("<d:scope><d:href>", "</d:href>").unwrap());
        let scope = scope.strip_prefix("/files/ann").unwrap().trim_end_matches('/').to_owned();
        let literal = between("<d:literal>", "</d:literal>").unwrap();
        let most: usize = between("<d:nresults>", "</d:nresults>").unwrap().parse().unwrap();
        let from: usize = between("SearchDAV/ns\">", "</ns:firstresult>").unwrap().parse().unwrap();
        let within = format!("{scope}/");
        let wanted = literal.trim_matches('%').to_lowercase();
        let newest = body.contains("<d:gt>");
        let mut found: Vec<_> =
            self.files.iter().filter(|(key, _)| key.starts_with(&within)).collect();
        if newest {
            let since = Timestamp::parse(&literal).unwrap().seconds();
            found.retain(|(_, node)| node.content.is_some() && node.mtime > since);
            found.sort_by_key(|(_, node)| std::cmp::Reverse(node.mtime));
        } else {
            found.retain(|(key, _)| {
                key.rsplit('/').next().unwrap().to_lowercase().contains(&wanted)
            });
        }
        let mut text = String::new();
        for (key, node) in found.into_iter().skip(from).take(most) {
            write!(text, "{}", Self::response(&self.href(key), node, "")).unwrap();
        }
        Self::multistatus(&text)
    }
}

fn serve(content: &Bytes, node: &Node, headers: &HeaderMap) -> Answer {
    let mut given = vec![
        ("content-type", "application/octet-stream".to_owned()),
        ("etag", format!("\"{}\"", node.tag)),
        ("last-modified", Timestamp::from_seconds(node.mtime).to_http_date()),
    ];
    let Some(range) = header(headers, "range").and_then(|range| range.strip_prefix("bytes="))
    else {
        return (StatusCode::OK, given, content.clone());
    };
    let (first, last) = range.split_once('-').unwrap();
    let len = content.len();
    let (from, to) = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(from), last) => (from, last.map_or(len, |last| (last + 1).min(len))),
        (None, count) => (len.saturating_sub(count.unwrap()), len),
    };
    if from >= to {
        given.push(("content-range", format!("bytes */{len}")));
        return (StatusCode::RANGE_NOT_SATISFIABLE, given, Bytes::new());
    }
    given.push(("content-range", format!("bytes {from}-{}/{len}", to - 1)));
    (StatusCode::PARTIAL_CONTENT, given, content.slice(from..to))
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<axum::body::Body> {
    let (status, given, body) = act(&shared, &method, &uri, &headers, body);
    let mut response = Response::builder().status(status).header("server", "simulated");
    for (name, value) in given {
        response = response.header(name, value);
    }
    response.body(axum::body::Body::from(body)).unwrap()
}

fn act(shared: &Shared, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Answer {
    if uri.path() == "/status.php" {
        let text = r#"{"installed":true,"productname":"Nextcloud","versionstring":"30.0.1"}"#;
        return (StatusCode::OK, Vec::new(), Bytes::from(text));
    }
    // ann:secret
    if header(headers, "authorization") != Some("Basic YW5uOnNlY3JldA==") {
        let ask = vec![("www-authenticate", "Basic realm=\"Nextcloud\"".to_owned())];
        return (StatusCode::UNAUTHORIZED, ask, Bytes::new());
    }
    if uri.path().ends_with("/core/preview") {
        return shared.lock().unwrap().preview(uri.query().unwrap_or_default());
    }
    let mut cloud = shared.lock().unwrap();
    let path = decode(uri.path());
    let path = path.strip_prefix("/remote.php/dav").unwrap();
    let method = method.as_str();
    if method == "SEARCH" {
        return cloud.search(std::str::from_utf8(&body).unwrap());
    }
    if let Some(rest) = path.strip_prefix("/trashbin/ann") {
        return cloud.trash(method, rest, headers);
    }
    if let Some(rest) = path.strip_prefix("/versions/ann") {
        return cloud.versions(method, rest, headers);
    }
    if let Some(rest) = path.strip_prefix("/uploads/ann") {
        return cloud.uploads(method, rest, headers, body);
    }
    let Some(rest) = path.strip_prefix("/files/ann") else { return plain(404) };
    let rest = rest.trim_end_matches('/');
    match method {
        "OPTIONS" => (StatusCode::OK, vec![("dav", "1, 3".into())], Bytes::new()),
        "PROPFIND" => cloud.propfind(rest, header(headers, "depth").unwrap_or("1")),
        "GET" => cloud.get(rest, headers),
        // A chunked body is what many set-ups of Nextcloud cannot take.
        "PUT" if header(headers, "content-length").is_none() => plain(411),
        "PUT" => cloud.put(rest, headers, body),
        "MKCOL" => cloud.mkcol(rest),
        "MOVE" => cloud.transfer(rest, headers, true),
        "COPY" => cloud.transfer(rest, headers, false),
        "DELETE" => cloud.delete(rest),
        _ => plain(405),
    }
}

async fn start() -> String {
    let mut cloud = Cloud::default();
    let (mtime, id, tag) = (cloud.now(), cloud.next(), cloud.next());
    cloud
        .files
        .insert(String::new(), Node { content: None, mtime, id, tag, versions: BTreeMap::new() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new()
        .fallback(answer)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::new(Mutex::new(cloud)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://127.0.0.1:{port}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_nextcloud_behaves() {
    let url = format!("{}/remote.php/dav/files/ann/", start().await);
    let fields = [("url", url.as_str()), ("username", "ann"), ("password", "secret")];
    let connector = Arc::new(tramontane_connectors::webdav::WebDav::default());
    crate::services::prove_at_length(connector, 8, &fields, None, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_names_the_right_address_and_the_wrong_field() {
    let base = start().await;
    let try_with = |url: String, password: &'static str| async move {
        let spool = tempfile::tempdir().unwrap();
        let fields = [("url", url.as_str()), ("username", "ann"), ("password", password)];
        let connector = Arc::new(tramontane_connectors::webdav::WebDav::default());
        let spool = tramontane_fill::Spool::new(spool.path());
        let tried = tramontane_testkit::prove::Service::connect(connector, 9, &fields, spool).await;
        tried.err().map(|error| format!("{error:#}")).unwrap_or_default()
    };
    let files = format!("{base}/remote.php/dav/files/ann/");
    let said = try_with(format!("{base}/remote.php/dav/files/bob"), "secret").await;
    assert!(said.contains("no WebDAV answers"), "{said}");
    let said = try_with(files.clone(), "wrong").await;
    assert!(said.contains("username or password"), "{said}");
    assert_eq!(try_with(files, "secret").await, "");
}
