//! Upload sessions: parts of one size, in any order, each with its digest; then a commit with the
//! digest of the whole.
//!
//! <https://developer.box.com/guides/uploads/chunked/>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use tramontane_model::Timestamp;

use super::answer::{Answer, Fault, created, elsewhere, nothing, ok, time};
use super::call::Call;
use super::content::MAX_FILE;
use super::items::required;
use super::node::Kind;
use super::store::text;

/// Smaller files are not taken in parts, in bytes.
const MIN_SIZE: u64 = 20_000_000;
/// The size of parts of files up to 10,000 of them, in bytes.
const PART: u64 = 8 << 20;
/// A session's life, in seconds: seven days.
const LIFE: i64 = 7 * 86_400;
/// The most sessions at once.
const MAX_SESSIONS: usize = 1_000;

/// One part.
pub(super) struct Part {
    id: String,
    sha1: String,
    content: Bytes,
}

pub(super) struct Session {
    owner: u64,
    /// A new file's name and folder, or the file that gets a new version.
    target: Target,
    size: u64,
    part_size: u64,
    until: Timestamp,
    /// By offset.
    parts: BTreeMap<u64, Part>,
}

enum Target {
    New { name: String, folder: String },
    Version { file: String, name: Option<String> },
}

impl Session {
    fn count(&self) -> u64 {
        self.size.div_ceil(self.part_size)
    }

    fn taken(&self) -> u64 {
        self.parts.values().map(|part| part.content.len() as u64).sum()
    }
}

fn part_json(offset: u64, part: &Part) -> Value {
    json!({"part_id": part.id, "offset": offset, "size": part.content.len(), "sha1": part.sha1})
}

impl Call<'_> {
    fn session_json(&self, id: &str, session: &Session) -> Value {
        let url = format!("{}/2.0/files/upload_sessions/{id}", self.base);
        json!({
            "type": "upload_session", "id": id, "session_expires_at": time(session.until),
            "part_size": session.part_size, "total_parts": session.count(),
            "num_parts_processed": session.parts.len(),
            "session_endpoints": {
                "upload_part": url, "status": url, "abort": url,
                "commit": format!("{url}/commit"), "list_parts": format!("{url}/parts"),
                "log_event": format!("{url}/log"),
            },
        })
    }

    /// `POST /files/upload_sessions`, also of a file.
    pub(super) fn begin_session(&mut self, file: Option<&str>) -> Answer {
        let body = self.json()?;
        let size = body.get("file_size").and_then(Value::as_u64);
        let size = size.ok_or_else(|| Fault::invalid("file_size", "'file_size' is required"))?;
        if size < MIN_SIZE {
            let text = format!("The file size must be at least {MIN_SIZE} bytes");
            return Err(Fault::new(400, "file_size_too_small", text));
        }
        if size > MAX_FILE {
            let text = "File size exceeds the folder owner's file size limit";
            return Err(Fault::new(403, "file_size_limit_exceeded", text));
        }
        let name = text(&body, "file_name").map(str::to_owned);
        let (target, owner) = match file {
            Some(id) => {
                let node = self.store.seen(self.me, Kind::File, id)?;
                if !self.store.powers(self.me, node.key).edit {
                    return Err(Fault::forbidden());
                }
                (Target::Version { file: id.to_owned(), name }, node.owner)
            }
            None => {
                let folder = required(&body, "folder_id")?.to_owned();
                let name = required(&body, "file_name")?.to_owned();
                let place = self.store.target(self.me, &folder)?;
                self.check_free(Kind::File, &name, place, None)?;
                (Target::New { name, folder }, place.1)
            }
        };
        self.store.check_space(owner, size)?;
        let now = self.store.now();
        self.store.sessions.retain(|_, session| session.until > now);
        if self.store.sessions.len() >= MAX_SESSIONS {
            return Err(Fault::new(429, "rate_limit_exceeded", "Too many upload sessions"));
        }
        let id = self.store.dice.token("", 32).to_uppercase().replace(['-', '_'], "0");
        let part_size = size.div_ceil(10_000).next_multiple_of(PART);
        let session = Session {
            owner: self.me,
            target,
            size,
            part_size,
            until: now.plus_seconds(LIFE),
            parts: BTreeMap::new(),
        };
        let shown = self.session_json(&id, &session);
        self.store.sessions.insert(id, session);
        created(&shown)
    }

    fn own_session(&self, id: &str) -> Result<&Session, Fault> {
        let now = self.store.now();
        let session = self.store.sessions.get(id);
        session
            .filter(|session| session.owner == self.me && session.until > now)
            .ok_or_else(|| Fault::missing("upload_session", id))
    }

    /// `GET` of a session.
    pub(super) fn session(&mut self, id: &str) -> Answer {
        ok(&self.session_json(id, self.own_session(id)?))
    }

    /// `PUT` of a session: one part.
    pub(super) fn put_part(&mut self, id: &str) -> Answer {
        let session = self.own_session(id)?;
        let range = self.header("content-range").and_then(read_range);
        let Some((first, last, whole)) = range else {
            return Err(Fault::new(400, "missing_content_range", "A Content-Range is required"));
        };
        let len = self.body.len() as u64;
        let expected = session.part_size.min(session.size.saturating_sub(first));
        let fits = whole == session.size
            && first.is_multiple_of(session.part_size)
            && first < session.size
            && last + 1 == first + len
            && len == expected;
        if !fits {
            return Err(Fault::new(
                416,
                "range_not_satisfiable",
                "The range does not fit the session",
            ));
        }
        let sha1 = Sha1::digest(&self.body);
        if self.digest()? != sha1[..] {
            let text = "The part's digest does not match its content";
            return Err(Fault::new(412, "sha1_mismatch", text));
        }
        let hash = hex::encode(sha1);
        // Parts cannot be replaced; the same bytes again are fine.
        match session.parts.get(&first) {
            Some(there) if there.sha1 == hash => {
                return ok(&json!({"part": part_json(first, there)}));
            }
            Some(_) => {
                return Err(Fault::new(409, "overlapping_ranges", "The part was uploaded before"));
            }
            None => {}
        }
        // Parts of all sessions take room, too.
        let own = self.store.sessions.values().filter(|session| session.owner == self.me);
        let under_way: u64 = own.map(Session::taken).sum();
        self.store.check_space(self.me, under_way + len)?;
        let part = Part {
            id: self.store.dice.token("", 8).to_uppercase(),
            sha1: hash,
            content: self.body.clone(),
        };
        let shown = json!({"part": part_json(first, &part)});
        if let Some(session) = self.store.sessions.get_mut(id) {
            session.parts.insert(first, part);
        }
        ok(&shown)
    }

    /// The `Digest: sha=` header (RFC 3230).
    fn digest(&self) -> Result<Vec<u8>, Fault> {
        let value = self.header("digest").and_then(|value| value.strip_prefix("sha="));
        let bytes = value.and_then(|value| BASE64_STANDARD.decode(value.trim()).ok());
        bytes.ok_or_else(|| {
            Fault::new(400, "bad_digest", "The Digest header is missing or malformed")
        })
    }

    /// `GET /files/upload_sessions/:id/parts`.
    pub(super) fn parts(&mut self, id: &str) -> Answer {
        let session = self.own_session(id)?;
        let (limit, offset) = (self.limit(100, 1_000)?, self.offset()?);
        let all: Vec<Value> = session
            .parts
            .iter()
            .skip(offset)
            .take(limit)
            .map(|(offset, part)| part_json(*offset, part))
            .collect();
        ok(&json!({
            "total_count": session.parts.len(), "limit": limit, "offset": offset,
            "order": [{"by": "type", "direction": "ASC"}], "entries": all,
        }))
    }

    /// `DELETE` of a session.
    pub(super) fn abort_session(&mut self, id: &str) -> Answer {
        self.own_session(id)?;
        self.store.sessions.remove(id);
        nothing()
    }

    /// `POST /files/upload_sessions/:id/commit`.
    pub(super) fn commit_session(&mut self, id: &str) -> Answer {
        let body = self.json()?;
        let session = self.own_session(id)?;
        let listed = body.get("parts").and_then(Value::as_array).cloned().unwrap_or_default();
        let complete = session.taken() == session.size && listed.len() as u64 == session.count();
        let known = listed.iter().all(|one| {
            let offset = one.get("offset").and_then(Value::as_u64);
            let part = offset.and_then(|offset| session.parts.get(&offset));
            part.is_some_and(|part| text(one, "part_id") == Some(part.id.as_str()))
        });
        if !complete || !known {
            let text = "The parts do not make up the file";
            return Err(Fault::new(400, "part_list_mismatch", text));
        }
        if self.store.quirks.commits_later > 0 {
            self.store.quirks.commits_later -= 1;
            return Ok(elsewhere(StatusCode::ACCEPTED, None, Some(1)));
        }
        let mut content = BytesMut::new();
        for part in self.own_session(id)?.parts.values() {
            content.extend_from_slice(&part.content);
        }
        if self.digest()? != Sha1::digest(&content)[..] {
            return Err(Fault::new(412, "sha1_mismatch", "The digest does not match the file"));
        }
        let attributes = body.get("attributes").cloned().unwrap_or_else(|| json!({}));
        let key = match &self.own_session(id)?.target {
            Target::New { name, folder } => {
                let (name, folder) = (name.clone(), folder.clone());
                self.add_file(&name, &folder, content.freeze(), &attributes)?
            }
            Target::Version { file, name } => {
                let (file, mut attributes) = (file.clone(), attributes);
                if let (Some(name), Some(members)) = (name, attributes.as_object_mut()) {
                    members.insert("name".into(), name.clone().into());
                }
                self.add_version(&file, content.freeze(), &attributes)?
            }
        };
        self.store.sessions.remove(id);
        self.uploaded(key)
    }
}

/// `bytes 0-99/1000`.
fn read_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, whole) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last, whole.parse().ok()?))
}
