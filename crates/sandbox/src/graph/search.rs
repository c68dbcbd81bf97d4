//! Search: below a folder of a drive ("driveItem: search"), and over everything of the organisation
//! ("searchEntity: query").

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::drive::{Drive, Item};
use super::fault::{Fault, bad, denied, not_found};
use super::show;
use super::world::World;

/// Whether every word begins some word of the name, or stands in the text of a small file.
fn matches(item: &Item, words: &[String]) -> bool {
    let name = item.name.to_lowercase();
    let text = if item.content.len() <= 1 << 20 {
        String::from_utf8_lossy(&item.content).to_lowercase()
    } else {
        String::new()
    };
    let begins = |text: &str, word: &str| {
        text.split(|one: char| !one.is_alphanumeric())
            .any(|part| !part.is_empty() && part.starts_with(word))
    };
    words.iter().all(|word| name == *word || begins(&name, word) || begins(&text, word))
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower
        .split(|one: char| !one.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Items that the index knows, in the order in which they were last changed.
fn hits<'a>(drive: &'a Drive, below: &str, words: &[String]) -> Vec<&'a Item> {
    let known = drive.indexed.unwrap_or(u64::MAX);
    let mut found: Vec<&Item> = drive
        .below(below)
        .iter()
        .filter_map(|id| drive.items.get(id))
        .filter(|item| item.seq <= known && matches(item, words))
        .collect();
    found.sort_by_key(|item| std::cmp::Reverse(item.seq));
    found
}

pub(super) fn below(world: &World, call: &Call, drive: &str, folder: &str, text: &str) -> Outcome {
    let drive = world.drives.get(drive).ok_or_else(not_found)?;
    drive.item(folder)?;
    let (words, top) = (words(text), call.top(200)?);
    let skip: usize = match call.parameter("$skiptoken") {
        None => 0,
        Some(token) => token.parse().map_err(|_| bad("Invalid skip token"))?,
    };
    let found = if words.is_empty() { Vec::new() } else { hits(drive, folder, &words) };
    let more = found.len() > skip + top;
    let value: Vec<Value> = found
        .into_iter()
        .skip(skip)
        .take(top)
        .map(|item| {
            let mut value = show::item(world, drive, item, call);
            // Hits do not carry these.
            if let Some(members) = value.as_object_mut() {
                members.shift_remove("@microsoft.graph.downloadUrl");
                members.shift_remove("cTag");
            }
            if let Some(reference) = value.get_mut("parentReference").and_then(Value::as_object_mut)
            {
                reference.shift_remove("path");
                reference.shift_remove("name");
            }
            show::selected(value, call)
        })
        .collect();
    let mut body = json!({"@odata.context": format!("{}/v1.0/$metadata#Collection(driveItem)", call.base), "value": value});
    if let (true, Some(members)) = (more, body.as_object_mut()) {
        let next = (skip + top).to_string();
        members.insert("@odata.nextLink".into(), call.link(&[("$skiptoken", &next)]).into());
    }
    Ok(Answer::json(body))
}

pub(super) fn query(world: &World, call: &Call) -> Outcome {
    if world.personal {
        return Err(denied());
    }
    let body = call.json()?;
    let request = body
        .get("requests")
        .and_then(|all| all.get(0))
        .ok_or_else(|| bad("requests is required"))?;
    let types = request.get("entityTypes").and_then(Value::as_array).cloned().unwrap_or_default();
    if types != [json!("driveItem")] {
        return Err(Fault::new(400, "BadRequest", "Only entityType driveItem is simulated"));
    }
    let text = request.pointer("/query/queryString").and_then(Value::as_str).unwrap_or_default();
    let number =
        |name: &str, usual: u64| request.get(name).and_then(Value::as_u64).unwrap_or(usual);
    let (from, size) = (number("from", 0), number("size", 25).min(500));
    let words = words(text);
    let mut found = Vec::new();
    for drive in world.drives.values() {
        if drive.owner.is_some_and(|owner| owner != call.who.person) && !call.who.app {
            continue;
        }
        found.extend(hits(drive, &drive.root, &words).into_iter().map(|item| (drive, item)));
    }
    let total = found.len();
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let hits: Vec<Value> = found
        .into_iter()
        .enumerate()
        .skip(at(from))
        .take(at(size))
        .map(|(rank, (drive, item))| {
            let mut resource = show::item(world, drive, item, call);
            if let Some(members) = resource.as_object_mut() {
                members.insert("@odata.type".into(), "#microsoft.graph.driveItem".into());
                members.shift_remove("@microsoft.graph.downloadUrl");
            }
            json!({"hitId": item.id, "rank": rank + 1, "summary": item.name, "resource": resource})
        })
        .collect();
    let more = at(from) + hits.len() < total;
    let container = json!({"total": total, "moreResultsAvailable": more, "hits": hits});
    Ok(Answer::json(json!({"value": [{"searchTerms": words, "hitsContainers": [container]}]})))
}
