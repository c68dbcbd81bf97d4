//! Items: metadata, children, folders, moves, copies, deletes, thumbnails.

use http::{StatusCode, header};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::call::{Answer, Call, Outcome};
use super::download;
use super::drive::{Behaviour, By, Drive};
use super::fault::{Fault, bad, not_found, unsupported};
use super::route::{At, done};
use super::show;
use super::world::{Job, World};

/// Most jobs that are remembered.
const MAX_JOBS: usize = 1_000;

pub(super) fn by(call: &Call) -> By {
    By { person: call.who.person, now: call.now }
}

/// One item as JSON.
pub(super) fn shown(world: &World, call: &Call, drive: &str, id: &str) -> Result<Value, Fault> {
    let drive = world.drives.get(drive).ok_or_else(not_found)?;
    Ok(show::item(world, drive, drive.item(id)?, call))
}

pub(super) fn get(world: &World, call: &Call, at: &At) -> Outcome {
    let id = at.id()?;
    let mut value = shown(world, call, &at.drive, id)?;
    if call
        .parameter("$expand")
        .is_some_and(|expand| expand.split(',').any(|one| one.trim() == "children"))
    {
        let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
        let children: Vec<Value> = drive
            .children(id, None)
            .take(200)
            .map(|child| show::item(world, drive, child, call))
            .collect();
        if let Some(members) = value.as_object_mut() {
            members.insert("children".into(), children.into());
        }
    }
    if let Some(context) = value.as_object_mut() {
        context.insert(
            "@odata.context".into(),
            format!("{}/v1.0/$metadata#drives('{}')/items/$entity", call.base, at.drive).into(),
        );
    }
    Ok(Answer::json(show::selected(value, call)))
}

pub(super) fn children(world: &World, call: &Call, at: &At) -> Outcome {
    let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
    let folder = drive.item(at.id()?)?;
    if let Some(order) = call.parameter("$orderby")
        && !matches!(order, "name" | "name asc")
    {
        return Err(unsupported("This order is not supported"));
    }
    let top = call.top(200)?;
    let after = match call.parameter("$skiptoken") {
        None => None,
        Some(token) => {
            let bytes = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(bytes.ok_or_else(|| bad("Invalid skip token").inner("invalidSkipToken"))?)
        }
    };
    let mut found: Vec<_> = drive.children(&folder.id, after.as_deref()).take(top + 1).collect();
    let more = found.len() > top;
    found.truncate(top);
    let last = found.last().map(|item| hex::encode(super::names::folded(&item.name)));
    let value: Vec<Value> = found
        .into_iter()
        .map(|item| show::selected(show::item(world, drive, item, call), call))
        .collect();
    let mut body = json!({
        "@odata.context": format!("{}/v1.0/$metadata#drives('{}')/items('{}')/children", call.base, drive.id, folder.id),
        "@odata.count": drive.child_count(&folder.id),
        "value": value,
    });
    if let (true, Some(last), Some(members)) = (more, last, body.as_object_mut()) {
        members.insert("@odata.nextLink".into(), call.link(&[("$skiptoken", &last)]).into());
    }
    Ok(Answer::json(body))
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name)?.as_str()
}

/// The conflict behaviour of a call: from its query, else from its body.
pub(super) fn behaviour(call: &Call, body: &Value, usual: Behaviour) -> Result<Behaviour, Fault> {
    let name = "@microsoft.graph.conflictBehavior";
    Behaviour::read(call.parameter(name).or_else(|| text(body, name)), usual)
}

pub(super) fn make_folder(world: &mut World, call: &Call, at: &At) -> Outcome {
    let body = call.json()?;
    let name = text(&body, "name").ok_or_else(|| bad("name is required"))?;
    if !body.get("folder").is_some_and(Value::is_object) {
        return Err(bad("Either the folder facet or @microsoft.graph.sourceUrl must be given"));
    }
    let behaviour = behaviour(call, &body, Behaviour::Fail)?;
    let id = world.drive_mut(&at.drive)?.make_folder(at.id()?, name, behaviour, by(call))?;
    Ok(Answer::created(shown(world, call, &at.drive, &id)?))
}

/// The folder that a `parentReference` names, in this drive.
fn parent(drive: &Drive, reference: &Value) -> Result<Option<String>, Fault> {
    if let Some(id) = text(reference, "id") {
        let id = if id == "root" { drive.root.as_str() } else { id };
        return Ok(Some(drive.item(id)?.id.clone()));
    }
    let Some(path) = text(reference, "path") else { return Ok(None) };
    let (_, below) = path.split_once("root:").ok_or_else(|| bad("The path is not valid"))?;
    let names: Vec<String> = below
        .split('/')
        .filter(|name| !name.is_empty())
        .map(|name| percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned())
        .collect();
    Ok(Some(drive.walk(&drive.root, &names)?.id.clone()))
}

pub(super) fn patch(world: &mut World, call: &Call, at: &At) -> Outcome {
    let id = at.id()?.to_owned();
    let body = call.json()?;
    let behaviour = behaviour(call, &body, Behaviour::Fail)?;
    let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
    drive.check_match(drive.item(&id)?, call.header(&header::IF_MATCH))?;
    let reference = body.get("parentReference").cloned().unwrap_or_default();
    if text(&reference, "driveId").is_some_and(|other| other != at.drive) {
        return Err(unsupported("Moving an item to another drive is not supported"));
    }
    let (to, name) = (parent(drive, &reference)?, text(&body, "name").map(str::to_owned));
    let times = body.get("fileSystemInfo").cloned();
    let drive = world.drive_mut(&at.drive)?;
    if to.is_some() || name.is_some() {
        drive.relocate(&id, to.as_deref(), name.as_deref(), behaviour, by(call))?;
    }
    if let Some(times) = times {
        let moment = |name: &str| text(&times, name).and_then(Timestamp::parse);
        let (created, modified) = (moment("createdDateTime"), moment("lastModifiedDateTime"));
        drive.change(&id, by(call), |item| {
            item.client_created = created.unwrap_or(item.client_created);
            item.client_modified = modified.unwrap_or(item.client_modified);
        })?;
    }
    Ok(Answer::json(shown(world, call, &at.drive, &id)?))
}

pub(super) fn delete(world: &mut World, call: &Call, at: &At, for_good: bool) -> Outcome {
    let drive = world.drive_mut(&at.drive)?;
    let id = at.id()?;
    drive.check_match(drive.item(id)?, call.header(&header::IF_MATCH))?;
    drive.delete(id, by(call), for_good)?;
    Ok(done())
}

pub(super) fn restore(world: &mut World, call: &Call, drive: &str, id: &str) -> Outcome {
    if !world.personal {
        return Err(unsupported("Restoring is only supported for OneDrive Personal"));
    }
    let body = call.json()?;
    let reference = body.get("parentReference").cloned().unwrap_or_default();
    let to = parent(world.drive(drive, call.who)?, &reference)?;
    let made = world.drive_mut(drive)?;
    made.restore(id, to.as_deref(), text(&body, "name"), by(call))?;
    Ok(Answer::json(shown(world, call, drive, id)?))
}

/// Copies at once, and tells so when it is asked a second time.
pub(super) fn copy(world: &mut World, call: &Call, at: &At) -> Outcome {
    let body = call.json()?;
    let id = at.id()?.to_owned();
    let source = world.drives.get(&at.drive).ok_or_else(not_found)?;
    let item = source.item(&id)?;
    if item.parent.is_none() {
        return Err(bad("Cannot copy the root folder"));
    }
    let reference = body.get("parentReference").cloned().unwrap_or_default();
    let target = text(&reference, "driveId").unwrap_or(&at.drive).to_owned();
    let folder = parent(world.drive(&target, call.who)?, &reference)?;
    let folder = folder.or_else(|| item.parent.clone()).unwrap_or_default();
    world.may(world.drive(&target, call.who)?, &folder, call.who, true)?;
    if target == at.drive && source.lineage(&folder).iter().any(|above| above.id == id) {
        return Err(bad("An item cannot be copied into itself or below itself"));
    }
    let name = text(&body, "name").map_or_else(|| item.name.clone(), str::to_owned);
    super::names::check(&name)?;
    // "The conflictBehavior is not supported for OneDrive Consumer" (driveItem: copy).
    let behaviour =
        if world.personal { Behaviour::Fail } else { behaviour(call, &body, Behaviour::Fail)? };
    let outcome = duplicate(world, call, (&at.drive, &id), (&target, &folder, &name), behaviour)
        .map(|made| (target, made))
        .map_err(|fault| fault.told());
    if world.jobs.len() >= MAX_JOBS {
        world.jobs.pop_first();
    }
    let job = world.dice.token("", 24);
    world.jobs.insert(job.clone(), Job { polls: 0, outcome });
    Ok(Answer::to(StatusCode::ACCEPTED, format!("{}/monitor/{job}", call.base)))
}

fn duplicate(
    world: &mut World,
    call: &Call,
    (from, id): (&str, &str),
    (to, folder, name): (&str, &str, &str),
    behaviour: Behaviour,
) -> Result<String, Fault> {
    let source = world.drives.get(from).ok_or_else(not_found)?;
    let item = source.item(id)?.clone();
    let children: Vec<(String, String)> =
        source.children(id, None).map(|child| (child.id.clone(), child.name.clone())).collect();
    let target = world.drive_mut(to)?;
    if !item.folder {
        let (made, _) = target.put(folder, name, item.content, behaviour, None, by(call))?;
        let (package, remote) = (item.package, item.remote);
        target.change(&made, by(call), |copy| {
            copy.client_modified = item.client_modified;
            copy.package = package;
            copy.remote = remote;
        })?;
        return Ok(made);
    }
    let made = target.make_folder(folder, name, behaviour, by(call))?;
    for (child, name) in children {
        duplicate(world, call, (from, &child), (to, &made, &name), Behaviour::Fail)?;
    }
    Ok(made)
}

pub(super) fn thumbnails(world: &World, call: &Call, at: &At, words: &[&str]) -> Outcome {
    let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
    let item = drive.item(at.id()?)?;
    let kind = show::media_type(item);
    let pictured = !item.folder
        && matches!(
            kind.as_str(),
            "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/bmp"
        );
    let one = |size: &str| {
        let longest = match size {
            "small" => 96,
            "medium" => 176,
            "large" => 800,
            custom => custom
                .strip_prefix('c')
                .and_then(|rest| rest.split(['x', '_']).next())
                .and_then(|n| n.parse().ok())
                .unwrap_or(96),
        };
        let token = download::token(world, drive, item, Some("thumbnail"), call.now);
        json!({"height": longest, "width": longest, "url": format!("{}/dl/{token}", call.base)})
    };
    match words {
        [_] => {
            let chosen = call.parameter("select").or_else(|| call.parameter("$select"));
            let sizes: Vec<&str> = chosen.unwrap_or("small,medium,large").split(',').collect();
            let mut set = serde_json::Map::from_iter([("id".to_owned(), json!("0"))]);
            set.extend(sizes.iter().map(|size| ((*size).to_owned(), one(size))));
            let value = if pictured { vec![Value::Object(set)] } else { Vec::new() };
            Ok(Answer::json(json!({"value": value})))
        }
        [_, "0", size] if pictured => Ok(Answer::json(one(size))),
        [_, "0", size, "content"] if pictured => {
            let url = one(size).get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
            Ok(Answer::to(StatusCode::FOUND, url))
        }
        _ => Err(not_found()),
    }
}
