//! `tramontane rotate-keys`: a new data key, everything sealed again, while the server runs.

use std::process::ExitCode;

use clap::Command;
use serde_json::json;

use crate::config::Config;
use crate::output::Output;
use crate::wiring::House;

/// The command.
pub fn command() -> Command {
    Command::new("rotate-keys").about(
        "Seal all secrets again under a new data key, wrapped by the present master key, while the server runs",
    )
}

/// Runs it.
///
/// # Errors
/// When another rotation runs, or the database cannot be reached.
pub async fn run(config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let house = House::open(config, false).await?;
    let done = house.directory.keys().rotate().await?;
    let shown = json!({
        "active": done.active, "rewrapped": done.rewrapped, "resealed": done.resealed,
        "removed": done.removed, "damaged": done.damaged,
    });
    let fine = done.damaged.is_empty();
    output.print(&shown, |_| {
        let mut text = format!(
            "Data key {} seals from now on. {} secrets were sealed again, {} former data keys wrapped again.",
            done.active, done.resealed, done.rewrapped
        );
        for damaged in &done.damaged {
            text.push_str(&format!("\nCould not be opened, left as it is: {damaged}"));
        }
        text
    })?;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
