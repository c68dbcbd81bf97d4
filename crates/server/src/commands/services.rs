//! `tramontane services`: the services of this binary and what each can do.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};
use tramontane_connector::{Account, Connector, Credential, Settings};
use tramontane_fill::gaps;
use tramontane_model::{AccountId, Op, Support};

use crate::output::Output;

/// A service and how it supports each operation.
type Row<'a> = (&'a dyn Connector, Vec<(Op, Support)>);

/// The command.
pub fn command() -> Command {
    Command::new("services").about("List the services and what each can do").arg(
        Arg::new("markdown")
            .long("markdown")
            .action(ArgAction::SetTrue)
            .help("Print the table of capabilities as Markdown"),
    )
}

/// Runs it.
///
/// # Errors
/// When standard output is closed.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<ExitCode> {
    let registry = crate::wiring::services()?;
    let services: Vec<Row<'_>> = registry
        .iter()
        .map(|connector| (connector.as_ref(), support(connector.as_ref())))
        .collect();
    let value: Vec<Value> = services
        .iter()
        .map(|(connector, support)| {
            let capabilities = support.iter().map(|(op, how)| {
                (op.as_str().to_owned(), json!({"support": how.as_str(), "reason": how.reason()}))
            });
            let descriptor = connector.descriptor();
            json!({
                "name": descriptor.name, "friendly_name": descriptor.friendly_name, "fields": descriptor.fields,
                "capabilities": capabilities.collect::<serde_json::Map<_, _>>(),
            })
        })
        .collect();
    let markdown = matches.get_flag("markdown");
    output.print(&json!({"services": value}), |_| {
        if markdown { table(&services) } else { lines(&services) }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What an account of the service can do before anything is known of its server.
fn support(connector: &dyn Connector) -> Vec<(Op, Support)> {
    let (Some(storage), Some(id)) = (connector.storage(), AccountId::new(1)) else {
        return Vec::new();
    };
    let account = Account {
        id,
        service: connector.descriptor().name.into(),
        admin: false,
        settings: Settings::new(),
        credential: Credential::none(),
        revision: 0,
    };
    gaps::support(&storage.abilities(&account)).into_iter().collect()
}

fn lines(services: &[Row<'_>]) -> String {
    let mut text = String::new();
    for (connector, support) in services {
        let count = |word: &str| support.iter().filter(|(_, how)| how.as_str() == word).count();
        text.push_str(&format!(
            "{:<16} {} ({} native, {} emulated, {} unsupported)\n",
            connector.descriptor().name,
            connector.descriptor().friendly_name,
            count("native"),
            count("emulated"),
            count("unsupported"),
        ));
    }
    text
}

/// The table, as `docs/capabilities.md` holds it.
fn table(services: &[Row<'_>]) -> String {
    let mut text = String::from(
        "# Capabilities\n\n\
         What each service can do: **native** (the service does it), emulated (Tramontane builds it from what is \
         there), or – (it cannot be done). This page is made by `tramontane services --markdown`; the behaviour \
         suite (`crates/testkit`) runs every operation that is declared here against real servers, as it is and with \
         each native operation taken away, and fails when a declaration does not hold. Servers of one protocol \
         differ: what is known of a server when an account is connected can change its row, and \
         `GET /v1/accounts/{id}/capabilities` tells what holds for an account.\n\n| operation |",
    );
    for (connector, _) in services {
        text.push_str(&format!(" {} |", connector.descriptor().name));
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(services.len()));
    let mut reasons = Vec::new();
    for op in gaps::storage_ops() {
        text.push_str(&format!("\n| `{op}` |"));
        for (connector, support) in services {
            let how = support.iter().find(|(of, _)| *of == op).map(|(_, how)| *how);
            text.push_str(match how {
                Some(Support::Native) => " **native** |",
                Some(Support::Emulated(_)) => " emulated |",
                _ => " – |",
            });
            if let Some(reason) = how.and_then(|how| how.reason()) {
                reasons.push((op, connector.descriptor().name, reason));
            }
        }
    }
    text.push_str(
        "\n\n## Why not native\n\n| operation | service | reason |\n| --- | --- | --- |\n",
    );
    for (op, service, reason) in reasons {
        text.push_str(&format!("| `{op}` | {service} | `{}`: {} |\n", reason.code, reason.message));
    }
    text
}
