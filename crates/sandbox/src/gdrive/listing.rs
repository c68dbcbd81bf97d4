//! `files.list`: what someone can see, filtered, sorted, in pages.

use std::cmp::Ordering;

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Google;
use super::call::Call;
use super::documents;
use super::fault::{Answer, Fault};
use super::query::{Compare, Query, name_contains, text_contains};
use super::state::{File, Grantee, State};

const FIELDS: &str = "kind,nextPageToken,incompleteSearch,files(kind,id,name,mimeType)";

/// What a listing looks through.
enum Corpus<'a> {
    /// Own files, files shared, and with `true` those of shared drives.
    User(bool),
    /// One shared drive.
    Drive(&'a str),
}

/// One key to sort by, and whether backwards.
#[derive(Clone, Copy)]
struct Key<'a>(&'a str, bool);

const KEYS: &[&str] = &[
    "createdTime",
    "folder",
    "modifiedByMeTime",
    "modifiedTime",
    "name",
    "name_natural",
    "quotaBytesUsed",
    "recency",
    "sharedWithMeTime",
    "starred",
    "viewedByMeTime",
];

fn keys(text: &str) -> Answer<Vec<Key<'_>>> {
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, back) = match part.split_once(' ') {
            Some((name, "desc")) => (name, true),
            Some(_) => return Err(Fault::invalid("orderBy", "Invalid Value")),
            None => (part, false),
        };
        if !KEYS.contains(&name) {
            return Err(Fault::invalid("orderBy", "Invalid Value"));
        }
        found.push(Key(name, back));
    }
    Ok(found)
}

fn sort_value(state: &State, file: &File, key: &str, call: &Call) -> String {
    let moment = |at: Option<tramontane_model::Timestamp>| {
        format!("{:020}", at.map_or(0, |at| at.micros().max(0)))
    };
    let viewed = file.viewed.get(call.person.id).copied();
    match key {
        "folder" => if file.is_folder() { "0" } else { "1" }.into(),
        "name" | "name_natural" => file.name.to_lowercase(),
        "createdTime" => moment(Some(file.created)),
        "modifiedTime" => moment(Some(file.modified)),
        "modifiedByMeTime" => moment((file.modified_by == call.person).then_some(file.modified)),
        "viewedByMeTime" => moment(viewed),
        "sharedWithMeTime" => moment(state.shared_with(call.person, file, call.now)),
        "quotaBytesUsed" => format!("{:020}", file.bytes()),
        "starred" => if file.starred.contains(call.person.id) { "0" } else { "1" }.into(),
        _ => moment(Some(viewed.filter(|at| *at > file.modified).unwrap_or(file.modified))),
    }
}

/// Where a file stands in the order: the values of its keys, then its id.
fn compare(left: &[String], right: &[String], keys: &[Key<'_>]) -> Ordering {
    for (at, (one, two)) in left.iter().zip(right).enumerate() {
        let back = keys.get(at).is_some_and(|key| key.1);
        let order = if back { two.cmp(one) } else { one.cmp(two) };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

impl State {
    /// Whether a file fits a query.
    pub(super) fn fits(&self, file: &File, query: &Query, call: &Call) -> bool {
        match query {
            Query::And(one, two) => self.fits(file, one, call) && self.fits(file, two, call),
            Query::Or(one, two) => self.fits(file, one, call) || self.fits(file, two, call),
            Query::Not(one) => !self.fits(file, one, call),
            Query::Text(field, compare, value) => self.fits_text(file, field, *compare, value),
            Query::Time(field, compare, value) => {
                let at = match field.as_str() {
                    "createdTime" => Some(file.created),
                    "modifiedTime" => Some(file.modified),
                    "viewedByMeTime" => file.viewed.get(call.person.id).copied(),
                    _ => self.shared_with(call.person, file, call.now),
                };
                // Times are kept in milliseconds as far as anyone can see.
                at.is_some_and(|at| {
                    let seen = tramontane_model::Timestamp::from_millis(at.micros() / 1_000);
                    compare.holds(seen, *value)
                })
            }
            Query::Flag(field, wanted) => {
                let is = match field.as_str() {
                    "trashed" => self.is_trashed(file),
                    "starred" => file.starred.contains(call.person.id),
                    "sharedWithMe" => self.shared_with(call.person, file, call.now).is_some(),
                    _ => false,
                };
                is == *wanted
            }
            Query::In(value, field) => match field.as_str() {
                "parents" => {
                    let wanted =
                        if value == "root" { self.root(call.person) } else { value.as_str() };
                    file.parent.as_deref() == Some(wanted)
                }
                "owners" => file.owner.is_some_and(|owner| owner.email.eq_ignore_ascii_case(value)),
                _ => self.line(file).flat_map(|one| &one.permissions).any(|one| match &one.kind {
                    Grantee::User(email) | Grantee::Group(email) => {
                        email.eq_ignore_ascii_case(value)
                            && (field == "readers" || one.role >= super::state::Role::Writer)
                    }
                    _ => false,
                }),
            },
            Query::Has { private, key, value } => {
                let own = (call.client.clone(), key.clone());
                let found =
                    if *private { file.app_properties.get(&own) } else { file.properties.get(key) };
                found == Some(value)
            }
        }
    }

    fn fits_text(&self, file: &File, field: &str, compare: Compare, value: &str) -> bool {
        let is = |own: &str, folds: bool| {
            if folds { own.to_lowercase() == value.to_lowercase() } else { own == value }
        };
        match (field, compare) {
            ("name", Compare::Contains) => name_contains(&file.name, value),
            ("name", Compare::Is) => is(&file.name, true),
            ("name", _) => !is(&file.name, true),
            ("mimeType", Compare::Contains) => file.mime.starts_with(value),
            ("mimeType", Compare::Is) => is(&file.mime, false),
            ("mimeType", _) => !is(&file.mime, false),
            ("shortcutDetails.targetId", compare) => {
                let same = file.target.as_ref().is_some_and(|(id, _)| id == value);
                same == (compare == Compare::Is)
            }
            ("fullText", _) => {
                let mut all = file.name.clone();
                if let Some(description) = &file.description {
                    all.push('\n');
                    all.push_str(description);
                }
                let is_text =
                    file.mime.starts_with("text/") || documents::kind(&file.mime).is_some();
                if let (true, Some(head)) = (is_text, file.head()) {
                    all.push('\n');
                    all.push_str(&String::from_utf8_lossy(&head.content));
                }
                text_contains(&all, value) || name_contains(&file.name, value)
            }
            _ => false,
        }
    }
}

/// `GET files`.
pub(super) async fn list(Shared(google): Shared<Google>, call: Call) -> Answer<Response> {
    call.reads()?;
    let mask = call.mask(FIELDS)?;
    let size = call.page_size(100, 1_000)?;
    let query = Query::read(call.text("q").unwrap_or_default())?;
    let order = call.text("orderBy").unwrap_or_default();
    let keys = keys(order)?;
    if !keys.is_empty() && query.as_ref().is_some_and(Query::is_full_text) {
        let text = "Sorting is not supported for queries with fullText terms. Results are always in descending relevance order.";
        return Err(Fault::invalid("orderBy", text));
    }
    let all = call.flag("includeItemsFromAllDrives") || call.flag("includeTeamDriveItems");
    if all && !call.all_drives() {
        let text = "The 'supportsAllDrives' parameter must be set to true when 'includeItemsFromAllDrives' is.";
        return Err(Fault::invalid("supportsAllDrives", text));
    }
    let corpora = call.text("corpora").unwrap_or("user");
    let corpus = match (corpora, call.text("driveId").or_else(|| call.text("teamDriveId"))) {
        ("drive" | "teamDrive", Some(id)) if all => Corpus::Drive(id),
        ("drive" | "teamDrive", _) => {
            return Err(Fault::required(
                "driveId",
                "The driveId parameter must be specified if and only if corpora is set to drive.",
            ));
        }
        (_, Some(_)) => {
            return Err(Fault::invalid(
                "driveId",
                "The driveId parameter must be specified if and only if corpora is set to drive.",
            ));
        }
        ("user" | "domain", None) => Corpus::User(all),
        ("allDrives" | "allTeamDrives", None) if all => Corpus::User(true),
        _ => return Err(Fault::invalid("corpora", "Invalid Value")),
    };
    let bound = hex::encode(Sha256::digest(format!(
        "{}|{order}|{corpora}|{:?}",
        call.text("q").unwrap_or_default(),
        call.text("driveId")
    )));
    let after = call.text("pageToken").map(|token| read_token(token, &bound)).transpose()?;
    let mut state = google.state();
    state.index_due(call.now);
    let size = state.quirks.page(size);
    if let Corpus::Drive(id) = corpus {
        let root = state.files.get(id).filter(|file| file.drive.as_deref() == Some(id));
        let member = root.and_then(|root| state.role(call.person, root, call.now));
        if member.is_none() {
            return Err(Fault::not_found(format!("Shared drive not found: {id}")));
        }
    }
    let above = query.as_ref().and_then(Query::parent);
    if let Some(id) = above {
        // The real service forgets to say which.
        state.seen(call.person, id, call.all_drives(), call.now).map_err(|_| Fault::no_file(""))?;
    }
    let view = state.searched(above.is_some());
    let here = |file: &File| match corpus {
        Corpus::User(all) => all || file.drive.is_none(),
        Corpus::Drive(id) => file.drive.as_deref() == Some(id),
    };
    let visible = |file: &File| match above {
        Some(_) => view.role(call.person, file, call.now).is_some(),
        None => view.is_listed(call.person, file, call.now),
    };
    let candidates: Box<dyn Iterator<Item = &File>> = match above {
        Some("root") => Box::new(view.children_of(view.root(call.person))),
        Some(id) => Box::new(view.children_of(id)),
        None => Box::new(view.files.values()),
    };
    let mut found: Vec<(Vec<String>, &File)> = candidates
        .filter(|file| here(file) && !view.is_root(file) && visible(file))
        .filter(|file| query.as_ref().is_none_or(|query| view.fits(file, query, &call)))
        .map(|file| {
            let values = keys.iter().map(|key| sort_value(view, file, key.0, &call));
            (values.chain([file.id.clone()]).collect(), file)
        })
        .collect();
    found.sort_by(|one, two| compare(&one.0, &two.0, &keys));
    if let Some(after) = &after {
        found.retain(|(place, _)| compare(place, after, &keys) == Ordering::Greater);
    }
    let more = found.len() > size;
    found.truncate(size);
    let mut answer = json!({
        "kind": "drive#fileList", "incompleteSearch": false,
        "files": found.iter().map(|(_, file)| view.render(file, &call)).collect::<Vec<Value>>(),
    });
    if let (true, Some((place, _)), Some(members)) = (more, found.last(), answer.as_object_mut()) {
        members.insert("nextPageToken".into(), write_token(place, &bound).into());
    }
    drop(state);
    Ok(axum::Json(mask.apply(answer)).into_response())
}

fn write_token(place: &[String], bound: &str) -> String {
    let text = json!([bound.get(..16), place]).to_string();
    format!("~!!~{}", BASE64_URL_SAFE_NO_PAD.encode(text))
}

fn read_token(token: &str, bound: &str) -> Answer<Vec<String>> {
    let invalid = || Fault::invalid("pageToken", "Invalid Value");
    let coded = token.strip_prefix("~!!~").ok_or_else(invalid)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(coded).map_err(|_| invalid())?;
    let (own, place): (String, Vec<String>) =
        serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    if Some(own.as_str()) == bound.get(..16) { Ok(place) } else { Err(invalid()) }
}
