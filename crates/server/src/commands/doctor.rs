//! `tramontane doctor`: checks what a server needs, and says what to do.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use serde::Serialize;
use tramontane_accounts::Keys;
use tramontane_model::{Clock, SystemClock};
use tramontane_vault::SystemEntropy;

use crate::config::Config;
use crate::operations::writable;
use crate::output::Output;
use crate::wiring;

/// 2026-01-01, in seconds since 1970: a clock before it is wrong.
const OLDEST_SENSIBLE_TIME: i64 = 1_767_225_600;

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
        return Ok(if probe(url).await { ExitCode::SUCCESS } else { ExitCode::FAILURE });
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
    let database = wiring::open_database(config).await.map_err(|error| format!("{error:#}"));
    let asked = match &database {
        Ok(db) => match db.ping().await {
            Ok(()) => Ok(format!("{} answers", db.dialect().name())),
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(error.clone()),
    };
    checks.push(Check::of("database", asked, "check database_url and that the database runs"));
    if let Ok(db) = &database {
        let newest = tramontane_store::Db::known_migrations().max();
        let tables = match db.applied_migration().await {
            Ok(applied) if applied == newest => {
                Ok(format!("up to date (migration {})", applied.unwrap_or(0)))
            }
            Ok(applied) => Err(format!(
                "at migration {}, this binary knows {}",
                applied.unwrap_or(0),
                newest.unwrap_or(0)
            )),
            Err(error) => Err(error.to_string()),
        };
        checks.push(Check::of("tables", tables, "run `tramontane migrate`"));
        let keys = match wiring::masters(config, false) {
            Ok(masters) => {
                let print = masters.current.fingerprint();
                let loaded = Keys::load(
                    db.clone(),
                    masters,
                    std::sync::Arc::new(SystemClock),
                    std::sync::Arc::new(SystemEntropy),
                );
                match loaded.await {
                    Ok(_) => Ok(format!("opens the data keys (fingerprint {print})")),
                    Err(error) => Err(error.to_string()),
                }
            }
            Err(error) => Err(format!("{error:#}")),
        };
        let advice =
            "put the right key into master_key or its file; former ones into previous_master_keys";
        checks.push(Check::of("master key", keys, advice));
    }
    let now = SystemClock.now();
    let clock = if now.seconds() >= OLDEST_SENSIBLE_TIME {
        Ok(now.to_string())
    } else {
        Err(format!("{now} is in the past"))
    };
    checks.push(Check::of("clock", clock, "set the clock; signatures and expiries depend on it"));
    checks.push(Check::of("cache", Ok("in this process; nothing to reach".into()), ""));
    let spool = settings.data_dir.join("spool");
    let blobs =
        if spool.is_dir() { writable(&spool).await } else { writable(&settings.data_dir).await };
    checks.push(Check::of(
        "blob store",
        blobs.map(|()| format!("{} can be written", spool.display())),
        "make room, or fix its owner",
    ));
    let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(SystemClock);
    let wire =
        wiring::registry(config).and_then(|registry| wiring::wire(config, &registry, &clock));
    let wired = wire
        .map(|_| "certificates and allow list are readable".to_owned())
        .map_err(|error| format!("{error:#}"));
    checks.push(Check::of(
        "way out",
        wired,
        "correct allow_addresses, service_urls or extra_ca_file",
    ));
    let running = match reach(&format!("http://{}/readyz", settings.listen)).await {
        Some(200) => Ok(format!("a server answers at {} and is ready", settings.listen)),
        Some(status) => Err(format!("a server answers at {} with {status}", settings.listen)),
        None => Ok(format!(
            "no server answers at {}: it is not running, or listens elsewhere",
            settings.listen
        )),
    };
    checks.push(Check::of("reachability", running, "GET /readyz says which part is missing"));
    checks
}

async fn probe(url: &str) -> bool {
    reach(url).await == Some(200)
}

/// The status that a plain HTTP URL of this machine answers with.
async fn reach(url: &str) -> Option<u16> {
    let url = url::Url::parse(url).ok()?;
    let asked = async {
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let stream =
            tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), port)).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, String>(
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .ok()?;
        tokio::spawn(connection);
        let request =
            http::Request::get(url.path()).header("host", host).body(String::new()).ok()?;
        Some(sender.send_request(request).await.ok()?.status().as_u16())
    };
    tokio::time::timeout(Duration::from_secs(5), asked).await.ok().flatten()
}
