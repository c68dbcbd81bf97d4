//! Earlier contents of a file ("List versions of a driveItem", "driveItemVersion: restoreVersion").

use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::download;
use super::fault::{bad, not_found, unsupported};
use super::items::by;
use super::route::{At, done};
use super::show;
use super::world::World;

pub(super) fn route(world: &mut World, call: &Call, at: &At, words: &[&str]) -> Outcome {
    let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
    let item = drive.item(at.id()?)?;
    if item.folder || item.package {
        return Err(bad("Versions are kept of files only"));
    }
    let one = |number: u32, size: usize, modified: String, person: &crate::people::Person| {
        json!({
            "id": format!("{number}.0"),
            "lastModifiedDateTime": modified,
            "size": size,
            "lastModifiedBy": show::identity(person, world.personal),
        })
    };
    let mut all =
        vec![one(item.number, item.content.len(), item.modified.to_string(), item.modifier)];
    all.extend(
        item.versions
            .iter()
            .map(|old| one(old.number, old.content.len(), old.modified.to_string(), old.modifier)),
    );
    let number = |id: &str| id.split('.').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    let found = |id: &str| -> Option<Value> {
        all.iter().find(|one| one.get("id").and_then(Value::as_str) == Some(id)).cloned()
    };
    match (call.method.as_str(), words) {
        ("GET", [_]) => {
            let top = call.top(200)?;
            let skip: usize = call
                .parameter("$skiptoken")
                .map_or(Ok(0), |token| token.parse().map_err(|_| bad("Invalid skip token")))?;
            let more = all.len() > skip + top;
            let value: Vec<Value> = all.into_iter().skip(skip).take(top).collect();
            let mut body = json!({"value": value});
            if let (true, Some(members)) = (more, body.as_object_mut()) {
                let next = (skip + top).to_string();
                members
                    .insert("@odata.nextLink".into(), call.link(&[("$skiptoken", &next)]).into());
            }
            Ok(Answer::json(body))
        }
        ("GET", [_, id]) => found(id).map(Answer::json).ok_or_else(not_found),
        ("GET", [_, id, "content"]) => {
            found(id).ok_or_else(not_found)?;
            if number(id) == item.number {
                return Err(bad("You cannot get the content of the current version."));
            }
            let what = format!("v{}", number(id));
            let token = download::token(world, drive, item, Some(&what), call.now);
            Ok(Answer::to(StatusCode::FOUND, format!("{}/dl/{token}", call.base)))
        }
        ("POST", [_, id, "restoreVersion"]) => {
            found(id).ok_or_else(not_found)?;
            let old = item.versions.iter().find(|old| old.number == number(id));
            let content =
                old.ok_or_else(|| bad("The current version cannot be restored."))?.content.clone();
            let id = item.id.clone();
            world.drive_mut(&at.drive)?.write(&id, content, None, by(call))?;
            Ok(done())
        }
        _ => Err(unsupported("This operation is not supported on versions")),
    }
}
