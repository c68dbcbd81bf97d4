//! The commands, a file each.

mod account;
mod app;
mod config;
mod doctor;
mod encode;
mod migrate;
mod reach;
mod rotate_keys;
pub mod sandbox;
mod serve;
mod services;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::config::Config;
use crate::output::Output;

/// Every command.
pub fn all() -> Vec<Command> {
    vec![
        serve::command(),
        sandbox::command(),
        app::command(),
        account::command(),
        config::command(),
        services::command(),
        doctor::command(),
        migrate::command(),
        rotate_keys::command(),
        encode::command(),
        encode::decode_command(),
    ]
}

/// Runs the command with this name.
///
/// # Errors
/// What the command says.
pub async fn run(
    name: &str,
    matches: &ArgMatches,
    config: Config,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match name {
        "serve" => serve::run(config, output).await,
        "sandbox" => sandbox::run(matches, config, output).await,
        "app" => app::run(matches, config, output).await,
        "account" => account::run(matches, config, output).await,
        "config" => config::run(matches, &config, output),
        "services" => services::run(matches, output),
        "doctor" => doctor::run(matches, config, output).await,
        "migrate" => migrate::run(config, output).await,
        "rotate-keys" => rotate_keys::run(config, output).await,
        "encode" => encode::run(matches, output),
        "decode" => encode::run_decode(matches, output),
        other => anyhow::bail!("there is no command {other}"),
    }
}
