//! `tramontane app`: applications and their API keys, from the shell.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, Command};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tramontane_accounts::{Application, Directory, NewApplication};
use tramontane_model::Timestamp;
use tramontane_store::Slice;

use crate::config::Config;
use crate::output::{Output, members, table};
use crate::wiring::House;

/// The most applications that are listed at once.
const MOST: i64 = 10_000;

/// The command.
pub fn command() -> Command {
    let id = || {
        Arg::new("id")
            .value_name("ID")
            .help("The application; may be left out when there is one only")
    };
    Command::new("app")
        .about("Applications: create, list, show, delete, and their API keys")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("create")
                .about("Make an application with an API key")
                .arg(Arg::new("name").required(true).value_name("NAME")),
        )
        .subcommand(Command::new("list").about("List the applications"))
        .subcommand(Command::new("show").about("Show an application").arg(id()))
        .subcommand(Command::new("key").about("Print an application's API key").arg(id()))
        .subcommand(
            Command::new("delete")
                .about("Delete an application with its accounts and keys")
                .arg(Arg::new("id").required(true).value_name("ID")),
        )
}

/// Runs it.
///
/// # Errors
/// What is missing, with what to do.
pub async fn run(matches: &ArgMatches, config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let Some((name, matches)) = matches.subcommand() else { bail!("app needs a command") };
    // Creating may come before the first start of the server.
    let house = House::open(config, name == "create").await?;
    let directory = &house.directory;
    match name {
        "create" => create(directory, matches, output).await?,
        "list" => list(directory, output).await?,
        "show" => {
            let app = pick(directory, id_of(matches)).await?;
            output.print(&shown(&app), members)?;
        }
        "key" => {
            let app = pick(directory, id_of(matches)).await?;
            let keys = directory.api_keys(&app.id).await?;
            let key = keys.into_iter().find_map(|key| key.key);
            let key = key.with_context(|| format!("The application {} has no API key", app.id))?;
            let key = key.expose_secret();
            output.print(&json!({"id": app.id, "api_key": key}), |_| key.to_owned())?;
        }
        _ => {
            let app = pick(directory, id_of(matches)).await?;
            directory.delete_application(app.developer, &app.id).await?;
            output.print(&json!({"id": app.id, "deleted": true}), |_| {
                format!("The application {} ({}) is deleted.", app.name, app.id)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn id_of(matches: &ArgMatches) -> Option<&str> {
    matches.get_one::<String>("id").map(String::as_str)
}

async fn create(directory: &Directory, matches: &ArgMatches, output: Output) -> anyhow::Result<()> {
    let name = matches.get_one::<String>("name").cloned().unwrap_or_default();
    let made = directory.first_run("operator@localhost", &name).await?;
    let (app, key) = match made {
        Some(first) => (first.application, first.api_key),
        None => {
            let operator = directory.operator().await?;
            let new = NewApplication { name, ..NewApplication::default() };
            let (app, key) = directory.create_application(operator.id, new).await?;
            (app, key.key)
        }
    };
    let mut value = shown(&app);
    if let Some(members) = value.as_object_mut() {
        members.insert("api_key".into(), Value::from(key.expose_secret()));
    }
    output.print(&value, members)
}

async fn list(directory: &Directory, output: Output) -> anyhow::Result<()> {
    let apps = directory.all_applications(Slice::first(MOST)).await?;
    let value = json!({"applications": apps.iter().map(shown).collect::<Vec<_>>()});
    output.print(&value, |_| {
        let rows: Vec<_> = apps
            .iter()
            .map(|app| {
                let created = Timestamp::from_micros(app.created).to_string();
                vec![app.id.clone(), app.name.clone(), app.active.to_string(), created]
            })
            .collect();
        table(&["ID", "NAME", "ACTIVE", "CREATED"], &rows)
    })
}

/// The application with this id, or the only one.
///
/// # Errors
/// When there is none, or the choice is not clear.
pub async fn pick(directory: &Directory, id: Option<&str>) -> anyhow::Result<Application> {
    let mut apps = directory.all_applications(Slice::first(MOST)).await?;
    if let Some(id) = id {
        let found = apps.into_iter().find(|app| app.id == id);
        return found.with_context(|| {
            format!("There is no application {id}. `tramontane app list` lists them.")
        });
    }
    match apps.len() {
        0 => bail!("There is no application yet. `tramontane app create NAME` makes one."),
        1 => apps.pop().context("There is no application"),
        _ => bail!("There are several applications: name one. `tramontane app list` lists them."),
    }
}

fn shown(app: &Application) -> Value {
    json!({
        "id": app.id, "name": app.name, "description": app.description, "active": app.active,
        "created": Timestamp::from_micros(app.created), "modified": Timestamp::from_micros(app.modified),
    })
}
