//! Content on its way in and out: preflight, direct upload, new versions, downloads.
//!
//! <https://developer.box.com/guides/uploads/direct/>, <https://developer.box.com/guides/downloads/>

use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use sha1::Digest as _;
use tramontane_model::Timestamp;

use super::Cloud;
use super::answer::{Answer, Fault, created, elsewhere, ok};
use super::call::Call;
use super::form;
use super::items::{parent_of, required};
use super::node::{Key, Kind, Node, Version};
use super::routes::{gone, now};
use super::show::{self, Fields};
use super::store::{Download, text};

/// The largest file that is taken directly, in bytes.
const MAX_DIRECT: u64 = 50 * 1_024 * 1_024;
/// The largest file of a personal account, in bytes.
pub(super) const MAX_FILE: u64 = 5_368_709_120;
/// How long a download URL is good, in seconds.
const URL_LIFE: i64 = 900;
/// The most download URLs that are kept.
const MAX_URLS: usize = 10_000;

impl Call<'_> {
    fn check_size(&self, body: &Value, owner: u64) -> Result<(), Fault> {
        let Some(size) = body.get("size").and_then(Value::as_u64) else { return Ok(()) };
        if size > MAX_FILE {
            let text = "File size exceeds the folder owner's file size limit";
            return Err(Fault::new(403, "file_size_limit_exceeded", text));
        }
        self.store.check_space(owner, size)
    }

    fn upload_url(&self, path: &str) -> Answer {
        ok(&json!({"upload_url": format!("{}{path}", self.base)}))
    }

    /// `OPTIONS /files/content`: whether a file could be uploaded.
    pub(super) fn preflight(&mut self) -> Answer {
        let body = self.json()?;
        let name = required(&body, "name")?.to_owned();
        let place = self.store.target(self.me, &parent_of(&body)?)?;
        self.check_free(Kind::File, &name, place, None)?;
        self.check_size(&body, place.1)?;
        self.upload_url("/2.0/files/content")
    }

    /// `OPTIONS /files/:id/content`: whether a new version could be uploaded.
    pub(super) fn preflight_version(&mut self, id: &str) -> Answer {
        let body = self.json()?;
        let node = self.store.seen(self.me, Kind::File, id)?;
        if !self.store.powers(self.me, node.key).edit {
            return Err(Fault::forbidden());
        }
        if let Some(name) = text(&body, "name") {
            let place = (node.parent, node.owner);
            self.check_free(Kind::File, name, place, Some(node.key))?;
        }
        let owner = node.owner;
        self.check_size(&body, owner)?;
        self.upload_url(&format!("/2.0/files/{id}/content"))
    }

    /// The attributes and the content of an upload.
    fn upload_form(&self) -> Result<(Value, Bytes), Fault> {
        let kind = self.header("content-type").unwrap_or_default();
        let mut parts = form::parts(kind, &self.body)
            .ok_or_else(|| Fault::new(400, "bad_request", "The request is no multipart form"))?;
        let attributes = parts.iter().position(|part| part.name == "attributes");
        let file = parts.iter().position(|part| part.file_name.is_some());
        let (Some(attributes), Some(file)) = (attributes, file) else {
            return Err(Fault::invalid("attributes", "'attributes' and 'file' are required"));
        };
        if attributes > file {
            let text = "The file attributes must come before the file contents";
            return Err(Fault::new(400, "metadata_after_file_contents", text));
        }
        let content = parts.swap_remove(file).content;
        let attributes = parts.swap_remove(attributes).content;
        let attributes = serde_json::from_slice(&attributes)
            .map_err(|_| Fault::invalid("attributes", "'attributes' is not JSON"))?;
        if content.len() as u64 > MAX_DIRECT {
            let text = "Files above 50 MB need an upload session";
            return Err(Fault::new(413, "request_entity_too_large", text));
        }
        if let Some(wanted) = self.header("content-md5") {
            // Despite its name the header holds a SHA-1, in hex.
            if !wanted.eq_ignore_ascii_case(&hex::encode(sha1::Sha1::digest(&content))) {
                return Err(Fault::new(
                    400,
                    "bad_digest",
                    "The specified content-md5 did not match",
                ));
            }
        }
        Ok((attributes, content))
    }

    /// `POST /files/content`.
    pub(super) fn upload(&mut self) -> Answer {
        let (attributes, content) = self.upload_form()?;
        let name = required(&attributes, "name")?.to_owned();
        let parent = parent_of(&attributes)?;
        let key = self.add_file(&name, &parent, content, &attributes)?;
        self.uploaded(key)
    }

    /// Makes a file.
    pub(super) fn add_file(
        &mut self,
        name: &str,
        parent: &str,
        content: Bytes,
        attributes: &Value,
    ) -> Result<Key, Fault> {
        let place = self.store.target(self.me, parent)?;
        self.check_free(Kind::File, name, place, None)?;
        self.store.check_space(place.1, content.len() as u64)?;
        let mut node = self.fresh(Kind::File, name, place);
        node.versions.push(self.fresh_version(name, content));
        set_times(&mut node, attributes);
        let key = self.store.insert(node)?;
        self.note_recent(key, "item_upload");
        self.tell("ITEM_UPLOAD", key);
        Ok(key)
    }

    /// `POST /files/:id/content`.
    pub(super) fn upload_version(&mut self, id: &str) -> Answer {
        let (attributes, content) = self.upload_form()?;
        let key = self.add_version(id, content, &attributes)?;
        self.uploaded(key)
    }

    /// Makes a new version of a file, under its name or another one.
    pub(super) fn add_version(
        &mut self,
        id: &str,
        content: Bytes,
        attributes: &Value,
    ) -> Result<Key, Fault> {
        let node = self.store.seen(self.me, Kind::File, id)?.clone();
        self.check_match(&node)?;
        if !self.store.powers(self.me, node.key).edit {
            return Err(Fault::forbidden());
        }
        self.store.check_space(node.owner, content.len() as u64)?;
        let name = text(attributes, "name").unwrap_or(&node.name).to_owned();
        self.check_free(Kind::File, &name, (node.parent, node.owner), Some(node.key))?;
        let version = self.fresh_version(&name, content);
        self.store.unhang(node.key);
        let now = self.store.now();
        if let Some(own) = self.store.nodes.get_mut(&node.key) {
            own.name = name;
            own.content_modified = now;
            set_times(own, attributes);
        }
        self.store.add_content(node.key, version);
        self.store.hang(node.key);
        self.store.touch(node.key, self.me);
        self.note_recent(node.key, "item_modify");
        self.tell("ITEM_UPLOAD", node.key);
        Ok(node.key)
    }

    /// What an upload is answered with: a list of one file.
    pub(super) fn uploaded(&self, key: Key) -> Answer {
        let fields = self.fields(Fields::Standard);
        let shown = self.store.nodes.get(&key);
        let shown: Vec<Value> =
            shown.map(|node| show::item(self.store, self.me, node, &fields)).into_iter().collect();
        created(&json!({"total_count": shown.len(), "entries": shown}))
    }

    /// `GET /files/:id/content`: a redirect to where the bytes are, or "not yet".
    pub(super) fn download(&mut self, id: &str) -> Answer {
        let node = self.store.seen(self.me, Kind::File, id)?;
        let key = node.key;
        if !self.store.powers(self.me, key).download {
            return Err(Fault::forbidden());
        }
        let wanted = self.query.get("version").map(String::as_str);
        let version = match wanted {
            None => node.current(),
            Some(id) => node.versions.iter().find(|one| one.id.to_string() == id),
        };
        let version = version.map(|one| one.id);
        let version =
            version.ok_or_else(|| Fault::missing("file_version", wanted.unwrap_or("")))?;
        if self.store.quirks.downloads_later > 0 {
            self.store.quirks.downloads_later -= 1;
            return Ok(elsewhere(StatusCode::ACCEPTED, None, Some(1)));
        }
        let until = self.store.now().plus_seconds(URL_LIFE);
        let token = self.store.dice.token("d!1!", 60);
        if self.store.downloads.len() >= MAX_URLS {
            let now = self.store.now();
            self.store.downloads.retain(|_, one| one.until > now);
            if self.store.downloads.len() >= MAX_URLS {
                self.store.downloads.clear();
            }
        }
        self.store.downloads.insert(token.clone(), Download { key, version, until });
        self.note_recent(key, "item_open");
        let url = format!("{}/dl/{token}", self.base);
        Ok(elsewhere(StatusCode::FOUND, Some(&url), None))
    }
}

fn set_times(node: &mut Node, attributes: &Value) {
    let given = |name: &str| {
        let at = text(attributes, name).and_then(Timestamp::parse)?;
        Some(super::answer::whole_seconds(at))
    };
    if let Some(at) = given("content_created_at") {
        node.content_created = at;
    }
    if let Some(at) = given("content_modified_at") {
        node.content_modified = at;
    }
}

/// `GET` of a pre-authenticated download, with ranges.
pub(super) async fn deliver(
    State(cloud): State<Cloud>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let at = now(&cloud);
    let store = cloud.store();
    let found = store.downloads.get(&token).filter(|one| at < one.until).and_then(|one| {
        let node = store.nodes.get(&one.key)?;
        let version = node.versions.iter().find(|version| version.id == one.version)?;
        Some((node.name.clone(), version.clone()))
    });
    drop(store);
    let Some((name, version)) = found else { return gone() };
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    serve(&name, &version, range)
}

fn serve(name: &str, version: &Version, range: Option<&str>) -> Response {
    let len = version.content.len();
    let asked = range.and_then(|range| read_range(range, len));
    let (status, content, told) = match asked {
        None => (StatusCode::OK, version.content.clone(), None),
        Some(None) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new(), Some(format!("bytes */{len}")))
        }
        Some(Some((from, to))) => (
            StatusCode::PARTIAL_CONTENT,
            version.content.slice(from..to),
            Some(format!("bytes {from}-{}/{len}", to - 1)),
        ),
    };
    let mut answer = Response::new(axum::body::Body::from(content));
    *answer.status_mut() = status;
    let kind = mime_guess::from_path(name).first_or_octet_stream().to_string();
    let headers = answer.headers_mut();
    let mut put = |name: header::HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, kind);
    put(header::ACCEPT_RANGES, "bytes".into());
    let digest = base64::prelude::BASE64_STANDARD.encode(&version.sha1);
    put(header::ETAG, format!("\"{digest}\""));
    if let Some(told) = told {
        put(header::CONTENT_RANGE, told);
    }
    answer
}

/// First byte and the one after the last; inside `None` when it lies outside.
fn read_range(range: &str, len: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(from), last) => (from, last.map_or(len, |last| last.saturating_add(1).min(len))),
        (None, Some(count)) => (len.saturating_sub(count), len),
        (None, None) => return None,
    };
    Some((from < to).then_some((from, to)))
}
