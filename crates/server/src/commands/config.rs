//! `tramontane config`: what is in force, where it came from, and what every key is for.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;

use crate::config::Config;
use crate::output::Output;
use crate::settings::KEYS;

#[derive(Serialize)]
struct Row {
    name: &'static str,
    value: String,
    source: &'static str,
    default: &'static str,
    flag: String,
    variable: String,
    help: &'static str,
}

/// The command.
pub fn command() -> Command {
    Command::new("config")
        .about("Print the settings in force, secrets as ***, and what each key is for")
        .arg(
            Arg::new("markdown")
                .long("markdown")
                .action(ArgAction::SetTrue)
                .help("Print the reference of all keys as Markdown"),
        )
        .arg(
            Arg::new("toml")
                .long("toml")
                .action(ArgAction::SetTrue)
                .help("Print a configuration file with every key, explained, at its default"),
        )
}

/// Runs it.
///
/// # Errors
/// When standard output is closed.
pub fn run(matches: &ArgMatches, config: &Config, output: Output) -> anyhow::Result<ExitCode> {
    if matches.get_flag("markdown") {
        output.print(&rows(config), |_| markdown())?;
        return Ok(ExitCode::SUCCESS);
    }
    if matches.get_flag("toml") {
        output.print(&rows(config), |_| file())?;
        return Ok(ExitCode::SUCCESS);
    }
    output.print(&rows(config), |rows| {
        let mut text = match &config.file {
            Some(file) => format!("# Settings; the file is {}\n", file.display()),
            None => "# Settings; no file was given (--config FILE)\n".to_owned(),
        };
        for row in rows {
            text.push_str(&format!("\n# {}\n", row.help.trim()));
            text.push_str(&format!("{} = \"{}\"  # {}\n", row.name, row.value, row.source));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

fn rows(config: &Config) -> Vec<Row> {
    let shown = config.settings.show();
    let rows = KEYS.iter().zip(shown).map(|(key, (name, value))| Row {
        name,
        value,
        source: config.sources.get(name).copied().unwrap_or("default"),
        default: key.default,
        flag: format!("--{}", key.flag()),
        variable: key.variable(),
        help: key.help.trim(),
    });
    rows.collect()
}

/// The reference, as `docs/configuration.md` holds it.
fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Every setting can be given as a flag, as an environment variable or in a TOML file (`--config FILE`), \
         in this order of precedence. `tramontane config` prints what is in force and where each value came \
         from; `tramontane config --toml` prints a file to start from. This page is made by \
         `tramontane config --markdown`.\n\n\
         | key in the file | flag | variable | default | what it is for |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for key in KEYS {
        let default =
            if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        text.push_str(&format!(
            "| `{}` | `--{}` | `{}` | {default} | {} |\n",
            key.name,
            key.flag(),
            key.variable(),
            key.help.trim()
        ));
    }
    text
}

fn file() -> String {
    let mut text = String::from("# Tramontane's settings. Every key is at its default.\n");
    for key in KEYS {
        text.push_str(&format!("\n# {}\n#{} = \"{}\"\n", key.help.trim(), key.name, key.default));
    }
    text
}
