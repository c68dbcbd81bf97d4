//! `tramontane account`: accounts, from the shell.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tramontane_accounts::form::By;
use tramontane_accounts::{Access, AccountFilter, AccountRow, Connecting, NewToken};
use tramontane_connector::Registry;
use tramontane_model::{AccountId, Timestamp};
use tramontane_store::Slice;

use super::app::pick;
use crate::config::Config;
use crate::output::{Output, members, table};
use crate::wiring::{House, services};

/// The most accounts that are listed at once.
const MOST: i64 = 100_000;

fn application() -> Arg {
    Arg::new("app")
        .long("app")
        .value_name("ID")
        .help("The application; may be left out when there is one only")
}

/// The command.
pub fn command() -> Command {
    Command::new("account")
        .about("Accounts: connect, list, show, delete")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(connect_command())
        .subcommand(Command::new("list").about("List an application's accounts").arg(application()))
        .subcommand(
            Command::new("show")
                .about("Show an account")
                .arg(Arg::new("id").required(true).value_name("ID")),
        )
        .subcommand(
            Command::new("delete")
                .about("Delete an account with its tokens, links and tasks")
                .arg(Arg::new("id").required(true).value_name("ID")),
        )
}

fn connect_command() -> Command {
    Command::new("connect")
        .about("Connect an account: tries the credential, keeps it sealed, prints a token")
        .after_help(services().map(|registry| fields_help(&registry)).unwrap_or_default())
        .arg(application())
        .arg(
            Arg::new("service")
                .long("service")
                .required(true)
                .value_name("NAME")
                .help("local, webdav, s3, sftp, ..."),
        )
        .arg(
            Arg::new("set")
                .long("set")
                .value_name("FIELD=VALUE")
                .action(ArgAction::Append)
                .help("A field of the service; FIELD=@FILE reads the value from a file"),
        )
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("TEXT")
                .help("What people know the account by"),
        )
        .arg(
            Arg::new("print")
                .long("print")
                .value_parser(["token", "id"])
                .value_name("MEMBER")
                .help("Print this one member and nothing else: token or id"),
        )
}

/// Runs it.
///
/// # Errors
/// What is missing, with what to do; what the service said.
pub async fn run(matches: &ArgMatches, config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let Some((name, matches)) = matches.subcommand() else { bail!("account needs a command") };
    let house = House::open(config, false).await?;
    match name {
        "connect" => connect(&house, matches, output).await?,
        "list" => list(&house, matches, output).await?,
        "show" => {
            let row = find(&house, matches).await?;
            output.print(&shown(&row), members)?;
        }
        _ => {
            let row = find(&house, matches).await?;
            let id = AccountId::new(row.id).context("the account's id is damaged")?;
            house.directory.delete_account(&row.application, id).await?;
            output.print(&json!({"id": row.id, "deleted": true}), |_| {
                format!("The account {} ({}) is deleted.", row.display, row.id)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn connect(house: &House, matches: &ArgMatches, output: Output) -> anyhow::Result<()> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let service = text("service").unwrap_or_default();
    let connector = house.registry.get(&service).with_context(|| {
        format!(
            "There is no service \"{service}\". There are: {}",
            house.registry.names().join(", ")
        )
    })?;
    let app = pick(&house.directory, text("app").as_deref()).await?;
    let given = given(matches)?;
    let asked = Connecting {
        application: &app.id,
        given: &given,
        by: By::Operator,
        display: text("name"),
        custom_properties: BTreeMap::new(),
    };
    let (connector, lent) = (connector.as_ref(), house.wire.clone());
    let imported = match connector.oauth() {
        Some(_) => house.grants.connect_by_tokens(connector, lent, asked).await?,
        None => house.directory.connect(connector, lent, asked).await?,
    };
    let id = imported.opened.id();
    let new = NewToken { label: "made by the operator".into(), ..NewToken::default() };
    let token = house.directory.create_token(&app.id, id, &Access::everything(), new).await?;
    let mut value = shown(&imported.opened.row);
    if let Some(members) = value.as_object_mut() {
        members.insert("token".into(), Value::from(token.token.expose_secret()));
    }
    if let Some(member) = text("print") {
        let member = &value.get(member.as_str()).cloned().unwrap_or_default();
        return output.print(member, |member| {
            member.as_str().map_or_else(|| member.to_string(), str::to_owned)
        });
    }
    output.print(&value, members)
}

/// What `--set` says.
fn given(matches: &ArgMatches) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let mut given = BTreeMap::new();
    for pair in matches.get_many::<String>("set").into_iter().flatten() {
        let (field, value) =
            pair.split_once('=').with_context(|| format!("--set {pair}: must be FIELD=VALUE"))?;
        let value = match value.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("--set {field}: the file {path} cannot be read"))?,
            None => value.to_owned(),
        };
        given.insert(field.to_owned(), Some(value));
    }
    Ok(given)
}

async fn list(house: &House, matches: &ArgMatches, output: Output) -> anyhow::Result<()> {
    let app = pick(&house.directory, matches.get_one::<String>("app").map(String::as_str)).await?;
    let filter = AccountFilter::default();
    let (rows, total) = house.directory.accounts(&app.id, &filter, Slice::first(MOST)).await?;
    let value = json!({"total": total, "accounts": rows.iter().map(shown).collect::<Vec<_>>()});
    output.print(&value, |_| {
        let cells: Vec<_> = rows
            .iter()
            .map(|row| {
                let created = Timestamp::from_micros(row.created).to_string();
                let state = row.credential_state.as_str().to_owned();
                vec![row.id.to_string(), row.service.clone(), row.display.clone(), state, created]
            })
            .collect();
        table(&["ID", "SERVICE", "ACCOUNT", "CREDENTIAL", "CREATED"], &cells)
    })
}

async fn find(house: &House, matches: &ArgMatches) -> anyhow::Result<AccountRow> {
    let text = matches.get_one::<String>("id").map_or("", String::as_str);
    let id = AccountId::parse(text).with_context(|| format!("\"{text}\" is no account id"))?;
    let found = house.directory.open(id).await?;
    let found = found.with_context(|| {
        format!("There is no account {id}. `tramontane account list` lists them.")
    })?;
    Ok(found.row.clone())
}

fn shown(row: &AccountRow) -> Value {
    json!({
        "id": row.id, "application": row.application, "service": row.service, "account": row.display,
        "active": row.active, "settings": row.settings, "credential": row.credential_state.as_str(),
        "created": Timestamp::from_micros(row.created), "modified": Timestamp::from_micros(row.modified),
    })
}

/// The fields of every service, for the help text.
fn fields_help(registry: &Registry) -> String {
    let mut text = String::from("Fields by service:\n");
    for connector in registry.iter() {
        let descriptor = connector.descriptor();
        text.push_str(&format!("\n  {} ({})\n", descriptor.name, descriptor.friendly_name));
        if connector.oauth().is_some() {
            text.push_str(
                "    by the connect page (see the operator guide); or, with tokens at hand:\n    \
                 refresh_token    A refresh token that the service gave to the OAuth client\n    \
                 access_token     An access token; works until it expires\n",
            );
        }
        for field in descriptor.fields {
            let need = match (field.required, field.default) {
                (true, _) => "required".to_owned(),
                (false, Some(default)) => format!("default {default}"),
                (false, None) => "optional".to_owned(),
            };
            text.push_str(&format!("    {:<16} {} ({need})\n", field.name, field.help));
        }
    }
    text
}
