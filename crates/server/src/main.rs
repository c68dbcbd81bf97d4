//! The `tramontane` binary: reads the settings, wires the house and runs one command.

#![expect(unreachable_pub, reason = "a binary has no outside; pub says what a module offers")]

mod commands;
mod config;
#[cfg(test)]
mod fuzz;
mod lifecycle;
mod master_key;
mod operations;
mod output;
mod pushes;
mod settings;
mod telemetry;
#[cfg(feature = "otlp")]
mod tracing_export;
mod wiring;

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

use crate::config::Config;
use crate::output::Output;

/// The static binary's allocator: musl's own is slow with threads. Elsewhere the C library's is as good
/// and takes less when idle.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn cli() -> Command {
    let json = Arg::new("json")
        .long("json")
        .global(true)
        .action(ArgAction::SetTrue)
        .help("Print one JSON document instead of lines for people");
    let command = Command::new("tramontane")
        .version(env!("CARGO_PKG_VERSION"))
        .about("One API over the files, calendars and messages of every cloud service")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(json)
        .subcommands(commands::all());
    config::with_flags(command)
}

fn main() -> ExitCode {
    let matches = cli().get_matches();
    let output = if matches.get_flag("json") { Output::Json } else { Output::Text };
    let done = run(&matches, output);
    match done {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &clap::ArgMatches, output: Output) -> anyhow::Result<ExitCode> {
    let (name, matches) =
        matches.subcommand().ok_or_else(|| anyhow::anyhow!("no command was given"))?;
    // Global flags are seen on the innermost command.
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let config = Config::load(innermost)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(commands::run(name, matches, config, output))
}
