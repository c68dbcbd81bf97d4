//! From a path to what it names: drives by their many addresses, items by id and by path.

use http::{Method, StatusCode};
use serde_json::json;

use super::call::{Answer, Call, Outcome, Step};
use super::fault::{Fault, bad, denied, not_found};
use super::world::World;
use super::{delta, directory, items, search, sharing, show, sites, transfer, versions};

/// An item that a path names: there, or a name that is free below a folder.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) drive: String,
    /// The item's id, when it is there.
    pub(super) item: Option<String>,
    /// The folder and the name that the path ends with, when it is a path.
    pub(super) place: Option<(String, String)>,
}

impl At {
    /// The item, which must be there.
    pub(super) fn id(&self) -> Result<&str, Fault> {
        self.item.as_deref().ok_or_else(not_found)
    }
}

/// Answers one call.
pub(super) fn route(world: &mut World, call: &Call, steps: &[Step]) -> Outcome {
    let words: Vec<&str> = steps
        .iter()
        .map(|step| match step {
            Step::Word(word) => word.as_str(),
            Step::Path(_) => ":",
            Step::Function(name, _) => name.as_str(),
        })
        .collect();
    let get = call.method == Method::GET;
    match words.as_slice() {
        ["me"] if get => directory::me(world, call),
        ["organization"] if get => directory::organization(world),
        ["users", ..] | ["groups", ..]
            if !words.contains(&"drive") && !words.contains(&"drives") =>
        {
            directory::route(world, call, &words)
        }
        ["me" | "drive", ..] | ["users", _, ..] => {
            let person = match words.as_slice() {
                ["users", id, ..] => {
                    let person = world.person(id)?;
                    if !call.who.app && person != call.who.person {
                        return Err(denied());
                    }
                    person
                }
                _ if call.who.app => {
                    return Err(bad(
                        "/me request is only valid with delegated authentication flow.",
                    ));
                }
                _ => call.who.person,
            };
            let home = world.home(person)?;
            let skip = match words.first() {
                Some(&"drive") => 0,
                Some(&"users") => 2,
                _ => 1,
            };
            let rest = steps.get(skip..).unwrap_or_default();
            match words.get(skip) {
                Some(&"drive") => in_drive(world, call, &home, rest.get(1..).unwrap_or_default()),
                Some(&"drives") if get && rest.len() == 1 => {
                    let drive = world.drive(&home, call.who)?;
                    Ok(Answer::json(json!({"value": [show::drive(drive)]})))
                }
                Some(&"drives") if words.get(skip + 1).is_some() => {
                    let id = words.get(skip + 1).copied().unwrap_or_default();
                    in_drive(world, call, id, rest.get(2..).unwrap_or_default())
                }
                _ => Err(unknown()),
            }
        }
        ["drives", id, ..] => in_drive(world, call, id, steps.get(2..).unwrap_or_default()),
        ["sites", ..] => sites::route(world, call, steps, &words),
        ["search", "query"] if call.method == Method::POST => search::query(world, call),
        _ => Err(unknown()),
    }
}

fn unknown() -> Fault {
    bad("Resource not found for the segment.").inner("ResourceNotFound")
}

/// What is asked of a drive.
pub(super) fn in_drive(world: &mut World, call: &Call, drive: &str, rest: &[Step]) -> Outcome {
    world.drive(drive, call.who)?;
    let get = call.method == Method::GET;
    let (start, rest) = match rest {
        [] if get => {
            return Ok(Answer::json(show::selected(
                show::drive(world.drive(drive, call.who)?),
                call,
            )));
        }
        [Step::Word(word), rest @ ..] if word == "root" => {
            (world.drive(drive, call.who)?.root.clone(), rest)
        }
        [Step::Word(word), Step::Word(id), rest @ ..] if word == "items" => {
            let id =
                if id == "root" { world.drive(drive, call.who)?.root.clone() } else { id.clone() };
            (id, rest)
        }
        [Step::Function(name, text)] if name == "search" && get => {
            let root = world.drive(drive, call.who)?.root.clone();
            return search::below(world, call, drive, &root, text);
        }
        _ => return Err(unknown()),
    };
    // A name that is in the bin may still be brought back.
    let restoring = matches!(rest, [Step::Word(word)] if word == "restore");
    if restoring {
        return items::restore(world, call, drive, &start);
    }
    let (at, rest) = locate(world, drive, start, rest)?;
    let target = at.item.clone().or_else(|| at.place.as_ref().map(|(folder, _)| folder.clone()));
    let write = !get && !matches!(rest, [Step::Word(word)] if word == "copy");
    if let Some(target) = &target {
        world.may(world.drive(drive, call.who)?, target, call.who, write)?;
    }
    on_item(world, call, &at, rest)
}

fn locate<'a>(
    world: &World,
    drive: &str,
    start: String,
    rest: &'a [Step],
) -> Result<(At, &'a [Step]), Fault> {
    let found = world.drives.get(drive).ok_or_else(not_found)?;
    match rest {
        [Step::Path(names), rest @ ..] if !names.is_empty() => {
            let (Some(name), above) = (names.last(), names.get(..names.len() - 1)) else {
                return Err(not_found());
            };
            let folder = found.walk(&start, above.unwrap_or_default())?;
            let item = found.child(&folder.id, name).map(|item| item.id.clone());
            let place = Some((folder.id.clone(), name.clone()));
            Ok((At { drive: drive.into(), item, place }, rest))
        }
        [Step::Path(_), rest @ ..] | rest => {
            found.item(&start)?;
            Ok((At { drive: drive.into(), item: Some(start), place: None }, rest))
        }
    }
}

fn on_item(world: &mut World, call: &Call, at: &At, rest: &[Step]) -> Outcome {
    let word = |step: Option<&Step>| match step {
        Some(Step::Word(word)) => word.clone(),
        Some(Step::Function(name, _)) => name.clone(),
        _ => String::new(),
    };
    let (first, method) = (word(rest.first()), call.method.as_str());
    let rest_words: Vec<String> = rest.iter().map(|step| word(Some(step))).collect();
    let rest_words: Vec<&str> = rest_words.iter().map(String::as_str).collect();
    match (method, rest_words.as_slice()) {
        ("GET", []) => items::get(world, call, at),
        ("PUT", []) => transfer::commit(world, call, at),
        ("PATCH", []) => items::patch(world, call, at),
        ("DELETE", []) => items::delete(world, call, at, false),
        ("POST", ["permanentDelete"]) if !world.personal => items::delete(world, call, at, true),
        ("GET", ["children"]) => items::children(world, call, at),
        ("POST", ["children"]) => items::make_folder(world, call, at),
        ("GET", ["content"]) => transfer::content(world, call, at),
        ("PUT", ["content"]) => transfer::put(world, call, at),
        ("POST", ["createUploadSession"]) => transfer::session(world, call, at),
        ("POST", ["copy"]) => items::copy(world, call, at),
        ("GET", ["thumbnails", ..]) => items::thumbnails(world, call, at, &rest_words),
        ("GET", ["delta"]) => {
            let token = match rest.first() {
                Some(Step::Function(_, token)) => Some(token.clone()),
                _ => call
                    .parameter("token")
                    .or_else(|| call.parameter("$skiptoken"))
                    .map(str::to_owned),
            };
            delta::delta(world, call, at, token.as_deref())
        }
        ("GET", ["search"]) => match rest.first() {
            Some(Step::Function(_, text)) => search::below(world, call, &at.drive, at.id()?, text),
            _ => Err(unknown()),
        },
        (_, ["versions", ..]) => versions::route(world, call, at, &rest_words),
        (_, ["permissions", ..]) | ("POST", ["invite" | "createLink"]) => {
            sharing::route(world, call, at, &rest_words)
        }
        _ => Err(Fault::new(
            if first.is_empty() { 405 } else { 400 },
            "notSupported",
            "This operation is not supported",
        )),
    }
}

/// `204 No Content`.
pub(super) fn done() -> Answer {
    Answer::empty(StatusCode::NO_CONTENT)
}
