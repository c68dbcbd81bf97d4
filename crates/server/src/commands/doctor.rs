//! `tramontane doctor`: checks what a server needs, and says what to do.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use tramontane_accounts::{Directory, Keys};
use tramontane_model::{Clock, SystemClock};
use tramontane_store::Db;
use tramontane_vault::SystemEntropy;

use super::reach;
use crate::config::Config;
use crate::operations::writable;
use crate::output::Output;
use crate::wiring;

/// 2026-01-01, in seconds since 1970: a clock before it is wrong.
const OLDEST_SENSIBLE_TIME: i64 = 1_767_225_600;
/// Seconds that two clocks may differ by.
const MOST_SKEW: i64 = 30;

#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

impl Check {
    fn of(name: &'static str, outcome: Result<String, String>, advice: &'static str) -> Self {
        match outcome {
            Ok(found) => Self { name, ok: true, found, advice: None },
            Err(found) => Self { name, ok: false, found, advice: Some(advice) },
        }
    }
}

/// The command.
pub fn command() -> Command {
    Command::new("doctor")
        .about("Check database, disk, clock, master key and reachability, and say what to do")
        .arg(Arg::new("probe").long("probe").value_name("URL").help(
            "Only ask this URL and tell by the exit code whether it answers 200; for health checks",
        ))
}

/// Runs it. The exit code is 0 when everything is fine.
///
/// # Errors
/// When standard output is closed.
pub async fn run(matches: &ArgMatches, config: Config, output: Output) -> anyhow::Result<ExitCode> {
    if let Some(url) = matches.get_one::<String>("probe") {
        return Ok(if reach::status(url).await == Some(200) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let checks = checks(&config).await;
    let fine = checks.iter().all(|check| check.ok);
    output.print(&serde_json::json!({"ok": fine, "checks": checks}), |_| {
        let lines = checks.iter().map(|check| {
            let mark = if check.ok { "ok  " } else { "FAIL" };
            let advice =
                check.advice.map(|advice| format!("\n       → {advice}")).unwrap_or_default();
            format!("{mark} {}: {}{advice}", check.name, check.found)
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn checks(config: &Config) -> Vec<Check> {
    let settings = &config.settings;
    let mut checks = vec![Check::of(
        "data directory",
        writable(&settings.data_dir)
            .await
            .map(|()| format!("{} can be written", settings.data_dir.display())),
        "make it and give it to the user that runs the server, or name another with --data-dir",
    )];
    let database = open(config).await;
    let asked = match &database {
        Ok(db) => match db.ping().await {
            Ok(()) => Ok(format!("{} answers", db.dialect().name())),
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(error.clone()),
    };
    checks.push(Check::of(
        "database",
        asked,
        "check database_url and that the database runs; a first `tramontane serve` makes the embedded one",
    ));
    let mut directory = None;
    if let Ok(db) = &database {
        checks.push(Check::of("tables", tables(db).await, "run `tramontane migrate`"));
        let keys = keys(config, db).await;
        let shown = keys.as_ref().map(|(_, shown)| shown.clone()).map_err(Clone::clone);
        let advice =
            "put the right key into master_key or its file; former ones into previous_master_keys";
        checks.push(Check::of("master key", shown, advice));
        directory = keys.ok().and_then(|(keys, _)| {
            Directory::new(db.clone(), keys, tramontane_accounts::Options::default()).ok()
        });
    }
    checks.push(Check::of(
        "clock",
        clock(config, database.as_ref().ok()).await,
        "set the clock (NTP); signatures and expiries depend on it",
    ));
    checks.push(Check::of("cache", Ok("in this process; nothing to reach".into()), ""));
    let spool = settings.data_dir.join("spool");
    let blobs = if spool.exists() { &spool } else { &settings.data_dir };
    checks.push(Check::of(
        "blob store",
        writable(blobs).await.map(|()| format!("{} can be written", blobs.display())),
        "make room, or give the folder to the user that runs the server",
    ));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let way_out = wiring::registry(config)
        .and_then(|registry| wiring::wire(config, &registry, &clock).map(|wire| (registry, wire)));
    let wired = match &way_out {
        Ok(_) => Ok("certificates and allow list are readable".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    };
    checks.push(Check::of(
        "way out",
        wired,
        "correct allow_addresses, service_urls or extra_ca_file",
    ));
    if let (Some(directory), Ok((registry, wire))) = (&directory, way_out) {
        checks.push(Check::of(
            "services",
            reach::services(directory, &registry, Arc::new(wire)).await,
            "check that the service runs and can be reached from here; private addresses need allow_addresses",
        ));
    }
    let running = match reach::status(&format!("http://{}/readyz", settings.listen)).await {
        Some(200) => Ok(format!("a server answers at {} and is ready", settings.listen)),
        Some(status) => Err(format!("a server answers at {} with {status}", settings.listen)),
        None => Ok(format!(
            "no server answers at {}: it is not running, or listens elsewhere",
            settings.listen
        )),
    };
    checks.push(Check::of("reachability", running, "GET /readyz says which part is missing"));
    checks.push(Check::of(
        "public URLs",
        reach::public_urls(&settings.public_urls).await,
        "check DNS, certificate and the proxy in front, or correct public_urls",
    ));
    checks
}

/// Opens the database; does not make one that is not there.
async fn open(config: &Config) -> Result<Db, String> {
    let file = config.embedded_database();
    if config.database_url() == Db::sqlite_url(&file) && !file.exists() {
        return Err(format!("there is none at {} yet", file.display()));
    }
    wiring::open_database(config).await.map_err(|error| format!("{error:#}"))
}

async fn tables(db: &Db) -> Result<String, String> {
    let newest = Db::known_migrations().max();
    match db.applied_migration().await {
        Ok(applied) if applied == newest => {
            Ok(format!("up to date (migration {})", applied.unwrap_or(0)))
        }
        Ok(applied) => Err(format!(
            "at migration {}, this binary knows {}",
            applied.unwrap_or(0),
            newest.unwrap_or(0)
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Opens the data keys with the master key, which must be its owner's alone.
async fn keys(config: &Config, db: &Db) -> Result<(Keys, String), String> {
    let masters = wiring::masters(config, false).map_err(|error| format!("{error:#}"))?;
    let print = masters.current.fingerprint();
    #[cfg(unix)]
    if config.settings.master_key.expose_secret().is_empty() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = config.master_key_file();
        let open =
            std::fs::metadata(&file).is_ok_and(|told| told.permissions().mode() & 0o077 != 0);
        if open {
            let file = file.display();
            return Err(format!("{file} can be read by others: chmod 600 {file}"));
        }
    }
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    match Keys::load(db.clone(), masters, clock, entropy).await {
        Ok(keys) => Ok((keys, format!("opens the data keys (fingerprint {print})"))),
        Err(error) => Err(error.to_string()),
    }
}

/// The clock against the database's, and against what was written last.
async fn clock(config: &Config, db: Option<&Db>) -> Result<String, String> {
    let now = SystemClock.now();
    if now.seconds() < OLDEST_SENSIBLE_TIME {
        return Err(format!("{now} is in the past"));
    }
    if let Some(Ok(theirs)) = match db {
        Some(db) => Some(db.time().await),
        None => None,
    } {
        let ahead = now.seconds() - theirs;
        if ahead.abs() > MOST_SKEW {
            return Err(format!("{now} is {ahead} seconds ahead of the database's clock"));
        }
    }
    let written = std::fs::metadata(config.embedded_database()).and_then(|told| told.modified());
    let since = written.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let written = since.and_then(|since| i64::try_from(since.as_secs()).ok());
    if written.is_some_and(|written| written > now.seconds() + MOST_SKEW) {
        return Err(format!("{now} is before the database was last written: it went back"));
    }
    Ok(now.to_string())
}
