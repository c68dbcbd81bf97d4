//! `files/search_v2`: words of names, beginnings of words, whatever their case; and the content of small text files.

use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::World;
use super::auth::Caller;
use super::drive::{Drive, Node};
use super::path::{Asked, lower};
use super::refusal::{Refusal, path_error, put, tag_of, tagged};
use super::render::{Wanted, metadata};

/// The largest file whose content is searched, in bytes.
const MAX_SEARCHED: usize = 1 << 20;
/// The most matches of one search.
const MAX_MATCHES: usize = 10_000;
/// The most searches that are kept for going on; the oldest go.
const MAX_KEPT: usize = 1_000;

/// What is left of a search.
pub(super) struct Search {
    person: &'static str,
    matches: Vec<Value>,
    page: usize,
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|one: char| !one.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn matches(name: &str, asked: &[String]) -> bool {
    let own = words(name);
    !asked.is_empty()
        && asked.iter().all(|word| own.iter().any(|own| own.starts_with(word.as_str())))
}

fn matches_content(node: &Node, asked: &[String]) -> bool {
    let Some(file) = node.file.as_ref().filter(|file| file.content.len() <= MAX_SEARCHED) else {
        return false;
    };
    std::str::from_utf8(&file.content).is_ok_and(|text| matches(text, asked))
}

fn found(drive: &mut Drive, arg: &Value, now: Timestamp) -> Result<Vec<Value>, Refusal> {
    let options = arg.get("options").cloned().unwrap_or_default();
    let query = arg.get("query").and_then(Value::as_str).unwrap_or_default();
    if query.is_empty() || query.chars().count() > 1_000 {
        return Err(Refusal::Route(tagged("invalid_argument", "query".into())));
    }
    let folder = match options.get("path").and_then(Value::as_str) {
        None | Some("") => String::new(),
        Some(text) => {
            let asked = Asked::parse(text).ok_or_else(|| {
                Refusal::Bad("request body: options: path: did not match pattern".into())
            })?;
            let node = drive.find(&asked).map_err(path_error)?;
            if !node.is_folder() {
                return Err(path_error("not_folder"));
            }
            lower(&node.path)
        }
    };
    let only_names = options.get("filename_only").and_then(Value::as_bool).unwrap_or(false);
    let asked = words(query);
    let inside = format!("{folder}/");
    let (mut by_name, mut by_content) = (Vec::new(), Vec::new());
    for (key, node) in drive.searched(now) {
        if !key.starts_with(&inside) {
            continue;
        }
        let entry = |kind: &str| {
            json!({"metadata": {".tag": "metadata", "metadata": metadata(node, &Wanted::default())},
                "match_type": {".tag": kind}})
        };
        if matches(node.name(), &asked) {
            by_name.push(entry("filename"));
        } else if !only_names && matches_content(node, &asked) {
            by_content.push(entry("file_content"));
        }
        if by_name.len() + by_content.len() >= MAX_MATCHES {
            break;
        }
    }
    by_name.append(&mut by_content);
    if options.get("order_by").and_then(tag_of) == Some("last_modified_time") {
        let time =
            |one: &Value| one.pointer("/metadata/metadata/server_modified").map(Value::to_string);
        by_name.sort_by_key(|one| std::cmp::Reverse(time(one)));
    }
    Ok(by_name)
}

fn page(world: &World, caller: &Caller, mut matches: Vec<Value>, size: usize) -> Value {
    let rest = matches.split_off(matches.len().min(size));
    let mut answer = json!({"matches": matches, "has_more": !rest.is_empty()});
    if !rest.is_empty() {
        let mut state = world.state();
        if state.searches.len() >= MAX_KEPT {
            state.searches.pop_first();
        }
        let cursor = world.dice.token("", 60);
        let search = Search { person: caller.by.id, matches: rest, page: size };
        state.searches.insert(cursor.clone(), search);
        put(&mut answer, "cursor", cursor);
    }
    answer
}

/// `files/search_v2`.
pub(super) fn search(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let size = arg.pointer("/options/max_results").and_then(Value::as_u64).unwrap_or(100);
    if !(1..=1_000).contains(&size) {
        return Err(Refusal::Bad(format!(
            "request body: options: max_results: {size} is not within range [1, 1000]"
        )));
    }
    let matches = found(world.state().drive(caller.person)?, arg, world.now())?;
    Ok(page(world, caller, matches, usize::try_from(size).unwrap_or(100)))
}

/// `files/search/continue_v2`.
pub(super) fn go_on(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let cursor = arg.get("cursor").and_then(Value::as_str).unwrap_or_default();
    let (matches, size) = {
        let state = world.state();
        let search = state.searches.get(cursor).filter(|one| one.person == caller.by.id);
        let search = search
            .ok_or_else(|| Refusal::Bad(format!("Invalid \"cursor\" parameter: {cursor:?}")))?;
        (search.matches.clone(), search.page)
    };
    Ok(page(world, caller, matches, size))
}
