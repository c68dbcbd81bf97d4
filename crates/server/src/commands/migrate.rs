//! `tramontane migrate`: brings the database up to date.

use std::process::ExitCode;

use clap::Command;
use serde_json::json;

use crate::config::Config;
use crate::master_key::make_data_dir;
use crate::output::Output;
use crate::wiring::open_database;

/// The command.
pub fn command() -> Command {
    Command::new("migrate").about("Bring the database up to date (serve does it too)")
}

/// Runs it.
///
/// # Errors
/// When the database cannot be reached or changed.
pub async fn run(config: Config, output: Output) -> anyhow::Result<ExitCode> {
    make_data_dir(&config.settings.data_dir)?;
    let db = open_database(&config).await?;
    let before = db.applied_migration().await?;
    db.migrate().await?;
    let after = db.applied_migration().await?;
    let done = json!({"engine": db.dialect().name(), "before": before, "after": after});
    output.print(&done, |_| {
        if before == after {
            format!("The database is up to date (migration {}).", after.unwrap_or(0))
        } else {
            format!("The database was brought to migration {}.", after.unwrap_or(0))
        }
    })?;
    db.close().await;
    Ok(ExitCode::SUCCESS)
}
