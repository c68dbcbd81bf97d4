//! What changed in a drive ("driveItem: delta"): pages of the latest state of each changed item, then a
//! cursor for the next time.

use http::header;
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::call::{Answer, Call, Outcome};
use super::drive::{Drive, Flavour};
use super::fault::{Fault, bad, not_found, unsupported};
use super::route::At;
use super::show;
use super::world::World;

fn cursor(drive: &Drive, seq: u64) -> String {
    hex::encode(format!("{}.{seq}", drive.generation))
}

/// From which change a token goes on.
fn from(drive: &Drive, call: &Call, token: Option<&str>) -> Result<Option<u64>, Fault> {
    let Some(token) = token else { return Ok(Some(0)) };
    if token == "latest" {
        return Ok(None);
    }
    if let Some(moment) = Timestamp::parse(token).filter(|_| token.contains('T')) {
        if drive.flavour == Flavour::Personal {
            return Err(bad(
                "A timestamp as token is only supported for OneDrive for Business and SharePoint",
            ));
        }
        let before =
            drive.items.values().filter(|item| item.modified <= moment).map(|item| item.seq);
        let gone =
            drive.gone.iter().filter(|(_, item)| item.modified <= moment).map(|(seq, _)| *seq);
        return Ok(Some(before.chain(gone).max().unwrap_or(0)));
    }
    let read = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = read.as_deref().and_then(|text| text.split_once('.'));
    let parts =
        parts.and_then(|(mark, seq)| Some((mark.parse::<u64>().ok()?, seq.parse::<u64>().ok()?)));
    match parts {
        Some((mark, seq)) if mark == drive.generation && (seq == 0 || seq >= drive.floor) => {
            Ok(Some(seq))
        }
        Some(_) => {
            let again = call.link(&[("token", &cursor(drive, 0))]);
            Err(Fault::new(410, "resyncRequired", "Resync required. Replace any local items with the server's version (including deletes) if you're sure that the service was up to date with your local changes when you last sync'd.")
                .inner("resyncChangesApplyDifferences")
                .header(header::LOCATION, again))
        }
        None => Err(bad("The provided token is not valid").inner("invalidParameterFormat")),
    }
}

pub(super) fn delta(world: &World, call: &Call, at: &At, token: Option<&str>) -> Outcome {
    let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
    let folder = at.id()?;
    if drive.flavour != Flavour::Personal && folder != drive.root {
        return Err(unsupported("Delta is only supported on the root of a drive"));
    }
    let top = call.top(200)?.min(world.page.unwrap_or(usize::MAX));
    let Some(from) = from(drive, call, token)? else {
        return Ok(page(call, Vec::new(), None, &cursor(drive, drive.seq)));
    };
    let within = |id: &str| drive.lineage(id).iter().any(|above| above.id == folder);
    let mut found: Vec<(u64, Value)> = drive
        .items
        .values()
        .filter(|item| item.seq > from && within(&item.id))
        .map(|item| {
            let mut value = show::item(world, drive, item, call);
            if let Some(reference) = value.get_mut("parentReference").and_then(Value::as_object_mut)
            {
                // "The parentReference property on items won't include a value for path".
                reference.shift_remove("path");
                reference.shift_remove("name");
            }
            (item.seq, value)
        })
        .collect();
    if from > 0 {
        let gone = drive.gone.iter().filter(|(seq, _)| *seq > from);
        found.extend(gone.map(|(seq, item)| {
            let mut value = json!({
                "id": item.id,
                "parentReference": {"driveId": drive.id, "driveType": show::drive_type(drive), "id": item.parent},
                "deleted": {"state": "deleted"},
            });
            if let Some(members) = value.as_object_mut() {
                let facet = if item.folder { json!({"childCount": 0}) } else { json!({}) };
                members.insert(if item.folder { "folder" } else { "file" }.into(), facet);
                // Business leaves out name and cTag of what is gone.
                if drive.flavour == Flavour::Personal {
                    members.insert("name".into(), item.name.as_str().into());
                    members.insert("cTag".into(), drive.ctag(item).into());
                }
            }
            (*seq, value)
        }));
    }
    found.sort_by_key(|(seq, _)| *seq);
    let more = found.len() > top;
    found.truncate(top);
    let last = found.last().map_or(from, |(seq, _)| *seq);
    let next = more.then(|| cursor(drive, last));
    let value = found.into_iter().map(|(_, value)| show::selected(value, call)).collect();
    Ok(page(call, value, next.as_deref(), &cursor(drive, drive.seq)))
}

fn page(call: &Call, value: Vec<Value>, next: Option<&str>, last: &str) -> Answer {
    let (name, token) = match next {
        Some(next) => ("@odata.nextLink", next),
        None => ("@odata.deltaLink", last),
    };
    // The token stands in the query, whichever way it came in.
    let path = call.path.split_once("(token=").map_or(call.path.as_str(), |(path, _)| path);
    let plain = Call { path: path.to_owned(), ..call.clone() };
    let link = plain.link(&[("token", token)]);
    Answer::json(json!({
        "@odata.context": format!("{}/v1.0/$metadata#Collection(driveItem)", call.base),
        name: link,
        "value": value,
    }))
}
