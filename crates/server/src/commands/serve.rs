//! `tramontane serve`: everything in one process.

use std::process::ExitCode;

use clap::Command;

use crate::config::Config;
use crate::output::Output;

/// The command.
pub fn command() -> Command {
    Command::new("serve").about("Run the server; on first start, make what it needs")
}

/// Runs it until it is asked to stop.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(_config: Config, _output: Output) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the server is not wired yet")
}
