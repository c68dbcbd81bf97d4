//! Sites of SharePoint and their libraries: the resource type `site`.

use http::Method;
use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome, Step};
use super::fault::{bad, not_found, unsupported};
use super::route::in_drive;
use super::show;
use super::world::{HOST, Site, World};

fn shown(site: &Site) -> Value {
    let mut value = json!({
        "id": site.id,
        "name": site.name,
        "displayName": site.title,
        "webUrl": format!("https://{HOST}{}", site.path),
        "createdDateTime": "2024-03-01T08:00:00Z",
        "lastModifiedDateTime": "2024-03-01T08:00:00Z",
        "siteCollection": {"hostname": HOST},
    });
    if let (true, Some(members)) = (site.path.is_empty(), value.as_object_mut()) {
        members.insert("root".into(), json!({}));
    }
    value
}

fn page(call: &Call, all: Vec<Value>) -> Outcome {
    let top = call.top(200)?;
    let skip: usize = match call.parameter("$skiptoken") {
        None => 0,
        Some(token) => token.parse().map_err(|_| bad("Invalid skip token"))?,
    };
    let more = all.len() > skip + top;
    let value: Vec<Value> = all.into_iter().skip(skip).take(top).collect();
    let mut body = json!({"value": value});
    if let (true, Some(members)) = (more, body.as_object_mut()) {
        let next = (skip + top).to_string();
        members.insert("@odata.nextLink".into(), call.link(&[("$skiptoken", &next)]).into());
    }
    Ok(Answer::json(body))
}

pub(super) fn route(world: &mut World, call: &Call, steps: &[Step], words: &[&str]) -> Outcome {
    if world.personal {
        return Err(unsupported("Sites are not there for personal accounts"));
    }
    let get = call.method == Method::GET;
    match words {
        ["sites"] if get => {
            let wanted = call.parameter("search").or_else(|| call.parameter("$search"));
            let wanted = wanted.map(str::to_lowercase);
            let Some(wanted) = wanted else {
                return Err(bad("A search is needed to list sites"));
            };
            let fits = |site: &&Site| {
                wanted == "*" || wanted.is_empty() || site.title.to_lowercase().contains(&wanted)
            };
            return page(call, world.sites.iter().filter(fits).map(shown).collect());
        }
        ["sites", "getAllSites"] if get && call.who.app => {
            return page(call, world.sites.iter().map(shown).collect());
        }
        _ => {}
    }
    // By id, or by host and path.
    let (site, rest) = match steps {
        [_, Step::Word(host), Step::Path(path), rest @ ..] => {
            let path = if path.is_empty() { String::new() } else { format!("/{}", path.join("/")) };
            let found = world
                .sites
                .iter()
                .find(|site| host == HOST && site.path.eq_ignore_ascii_case(&path));
            (found.cloned().ok_or_else(not_found)?, rest)
        }
        [_, Step::Word(id), rest @ ..] => (world.site(id)?.clone(), rest),
        _ => return Err(not_found()),
    };
    let rest_words: Vec<&str> = rest
        .iter()
        .map(|step| match step {
            Step::Word(word) => word.as_str(),
            _ => ":",
        })
        .collect();
    match rest_words.as_slice() {
        [] if get => Ok(Answer::json(show::selected(shown(&site), call))),
        ["sites"] if get => page(call, Vec::new()),
        ["drives"] if get => {
            let drives = site.drives.iter().filter_map(|id| world.drives.get(id));
            page(call, drives.map(show::drive).collect())
        }
        ["drive", ..] => {
            let first = site.drives.first().cloned().ok_or_else(not_found)?;
            in_drive(world, call, &first, rest.get(1..).unwrap_or_default())
        }
        ["drives", id, ..] if site.drives.iter().any(|drive| drive == id) => {
            let id = (*id).to_owned();
            in_drive(world, call, &id, rest.get(2..).unwrap_or_default())
        }
        _ => Err(not_found()),
    }
}
