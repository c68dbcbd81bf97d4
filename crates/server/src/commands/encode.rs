//! `tramontane encode` and `decode`: our ids from a service's own, and back, without asking anyone.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command};
use serde_json::json;
use tramontane_model::{Kind, NativeId, ResourceId};

use crate::output::Output;

/// The command that makes an id.
pub fn command() -> Command {
    Command::new("encode")
        .about("Print the API's id of an object, from the service's own id or path")
        .arg(
            Arg::new("type")
                .long("type")
                .default_value("file")
                .help("file, folder, calendar, event, conversation, message, user, group or label"),
        )
        .arg(
            Arg::new("raw")
                .required(true)
                .value_name("RAW_ID")
                .help("Its id or path at the service"),
        )
}

/// The command that reads one.
pub fn decode_command() -> Command {
    Command::new("decode")
        .about("Print the service's own id or path, from an id of the API")
        .arg(Arg::new("id").required(true).value_name("ID"))
}

/// Makes an id.
///
/// # Errors
/// A kind that there is none of.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<ExitCode> {
    let word = matches.get_one::<String>("type").map_or("file", String::as_str);
    let raw = matches.get_one::<String>("raw").map_or("", String::as_str);
    let kind = Kind::parse(word).with_context(|| format!("--type: there is no kind \"{word}\""))?;
    let id = if kind == Kind::Folder && matches!(raw, "/" | "" | "root") {
        "root".to_owned()
    } else {
        ResourceId::new(kind, NativeId::new(raw)).to_string()
    };
    output.print(&json!({"id": id, "type": word, "raw_id": raw}), |_| id.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// Reads an id.
///
/// # Errors
/// A malformed id.
pub fn run_decode(matches: &ArgMatches, output: Output) -> anyhow::Result<ExitCode> {
    let id = matches.get_one::<String>("id").map_or("", String::as_str);
    let read = ResourceId::parse(id).with_context(|| format!("\"{id}\" is no id of the API"))?;
    let kind = read.kind.map(Kind::as_str);
    output.print(&json!({"type": kind, "raw_id": read.native}), |_| read.native.to_string())?;
    Ok(ExitCode::SUCCESS)
}
