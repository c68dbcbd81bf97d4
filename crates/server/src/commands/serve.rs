//! `tramontane serve`: everything in one process.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use clap::Command;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tramontane_accounts::{Directory, FirstRun};
use tramontane_api::{Front, TaskExecutor};
use tramontane_feeds::Following;
use tramontane_fill::Spool;
use tramontane_store::sweep::Retention;
use tramontane_store::{Journal, Pace};

use crate::commands::sandbox;
use crate::config::Config;
use crate::lifecycle::stop_signal;
use crate::operations::{Operations, router};
use crate::output::Output;
use crate::pushes;
use crate::telemetry::Telemetry;
use crate::wiring::{House, api};

/// How often the data keys are read again, so that a rotation elsewhere is known soon.
const KEYS_EVERY: Duration = Duration::from_secs(15);
/// How often what has expired is swept away.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// How long a spooled upload that nobody touches is kept.
const SPOOL_KEPT: Duration = Duration::from_secs(8 * 86_400);

/// How long a stopping server waits for token refreshes that are under way.
const REFRESH_TIME: Duration = Duration::from_secs(45);

/// The command.
pub fn command() -> Command {
    Command::new("serve").about("Run the server; on first start, make what it needs")
}

/// Runs it until it is asked to stop.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let telemetry = Telemetry::start(&config.settings)?;
    let house = House::open(config, true).await?;
    let settings = house.config.settings.clone();
    let simulated = match settings.sandbox {
        true => Some(sandbox::start(settings.sandbox_listen, None).await?),
        false => None,
    };
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("The address {} cannot be listened on", settings.listen))?;
    let address = listener.local_addr()?;
    let first = house.directory.first_run("operator@localhost", "First application").await?;
    if let Some(first) = &first {
        welcome(first, &house, address, output)?;
    } else {
        let url = format!("http://{address}");
        let data_dir = settings.data_dir.display().to_string();
        output.print(&serde_json::json!({"url": url, "data_dir": data_dir}), |_| {
            format!("Tramontane listens on {url}  (API: {url}/v1)")
        })?;
    }

    if let (Some(simulated), Output::Text) = (&simulated, output) {
        println!("{}", sandbox::about(simulated));
    }

    let stop = stop_signal()?;
    let pace = Pace { log_requests: settings.request_log_days > 0, ..Pace::default() };
    let (journal, journal_end) = Journal::start(house.db.clone(), pace);
    let spool_dir = settings.data_dir.join("spool");
    std::fs::create_dir_all(&spool_dir).context("The spool directory cannot be made")?;
    let spool = Spool::new(spool_dir.clone());
    let built = api(&house, journal.clone(), spool.clone())?;
    let operations = Operations {
        db: house.db.clone(),
        journal: journal.clone(),
        spool_dir,
        metrics: Arc::new(telemetry.metrics.clone()),
        stop: stop.clone(),
    };
    let mut front = Front::new(built.app.clone())
        .with_operations(router(operations.clone(), settings.metrics))
        .with_pushes(pushes::router(built.feeds.clone()));
    if let Some(traces) = telemetry.lent() {
        front = front.with_traces(traces);
    }
    match settings.metrics_listen {
        Some(address) => {
            serve_operations(address, router(operations, true), stop.clone()).await?;
        }
        // It holds the journal, which ends when nobody does.
        None => drop(operations),
    }
    let (grants, told) = (house.grants.clone(), stop.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = grants.keep_alive() => {}
            () = told.cancelled() => {}
        }
    });
    tokio::spawn(tramontane_feeds::elsewhere::run(built.app.log().clone(), stop.clone()));
    follow(built.app.following().clone(), &stop);
    keep_up(&house.directory, &spool, settings.request_log_days, &stop);
    let drain = Duration::from_secs(settings.drain_seconds);
    let executor = Arc::new(TaskExecutor::new(front.clone()));
    let (tasks, told) = (built.tasks.clone(), stop.clone());
    let tasks = tokio::spawn(async move { tasks.serve(executor, told, drain).await });
    let (feeds, told) = (built.feeds.clone(), stop.clone());
    let feeds = tokio::spawn(async move { feeds.serve(told, drain).await });
    tokio::spawn(tramontane_api::housekeeping::run(built.app.clone(), stop.clone()));
    let (deliveries, told, owned) = (built.deliveries.clone(), stop.clone(), built.feeds.owned());
    let deliveries = tokio::spawn(async move { deliveries.run(owned, told).await });
    tramontane_api::listen::serve(listener, front, stop.clone()).await?;
    stop.cancel();
    tasks.await.context("The tasks did not end")?;
    feeds.await.context("The feeds did not end")?;
    deliveries.await.context("The deliveries did not end")?;
    // A refresh that is under way is finished: its answer may be the only good token.
    if tokio::time::timeout(REFRESH_TIME, house.grants.land()).await.is_err() {
        tracing::warn!("a token refresh was still under way when the server stopped");
    }
    journal.flush().await;
    drop((built.app, built.deliveries, journal));
    // Whatever still holds the journal is cut off; all that was recorded is written.
    let _ = tokio::time::timeout(Duration::from_secs(2), journal_end).await;
    house.db.close().await;
    drop(simulated);
    telemetry.finish();
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Accounts from before there were subscriptions get theirs: at the start, and now and then because a node
/// of an older version may still connect some.
fn follow(following: Following, stop: &CancellationToken) {
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            match following.sweep().await {
                Ok(0) => {}
                Ok(accounts) => tracing::info!(accounts, "accounts got their default subscription"),
                Err(error) => tracing::warn!(%error, "accounts could not be subscribed to"),
            }
            if waited(SWEEP_EVERY, &told).await {
                return;
            }
        }
    });
}

/// What has to be done now and then.
fn keep_up(directory: &Directory, spool: &Spool, log_days: u64, stop: &CancellationToken) {
    let (keys, told) = (directory.keys().clone(), stop.clone());
    tokio::spawn(async move {
        while !waited(KEYS_EVERY, &told).await {
            if let Err(error) = keys.reload().await {
                tracing::warn!(%error, "the data keys could not be read again");
            }
        }
    });
    let (directory, spool, told) = (directory.clone(), spool.clone(), stop.clone());
    let log_seconds = i64::try_from(log_days.saturating_mul(86_400)).unwrap_or(i64::MAX);
    let keep = Retention { request_log: log_seconds, ..Retention::default() };
    tokio::spawn(async move {
        loop {
            if let Err(error) = directory.upkeep(&keep).await {
                tracing::warn!(%error, "what has expired could not be swept away");
            }
            if let Err(error) = spool.sweep(SPOOL_KEPT).await {
                tracing::warn!(%error, "the spool could not be swept");
            }
            if waited(SWEEP_EVERY, &told).await {
                return;
            }
        }
    });
}

/// Waits; true when the server is stopping.
async fn waited(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => false,
        () = stop.cancelled() => true,
    }
}

async fn serve_operations(
    address: std::net::SocketAddr,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("The address {address} (metrics_listen) cannot be listened on"))?;
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the operators' port failed");
        }
    });
    Ok(())
}

/// What a first start prints: the only time that the key is shown.
fn welcome(
    first: &FirstRun,
    house: &House,
    address: std::net::SocketAddr,
    output: Output,
) -> anyhow::Result<()> {
    let key = first.api_key.expose_secret();
    let data_dir = house.config.settings.data_dir.display();
    let value = serde_json::json!({
        "url": format!("http://{address}"), "data_dir": data_dir.to_string(), "application": first.application.id,
        "api_key": key, "meta_token": first.meta_token.expose_secret(),
    });
    output.print(&value, |_| {
        format!(
            "Tramontane is ready. It made {data_dir}/ with its database and its master key: keep the key safe.\n\n\
             API          http://{address}/v1\n\
             Application  {id}\n\
             API key      {key}\n\
             Meta token   {meta}   (manages applications)\n\n\
             The key and the token are shown this once. To begin, paste into another terminal, in this folder:\n\n\
             \x20 mkdir -p demo && echo hello > demo/hello.txt\n\
             \x20 {program} account connect{settings} --service local --set root=\"$PWD/demo\"\n\
             \x20 curl -H 'Authorization: APIKey {key}' http://{address}/v1/accounts\n",
            program = program(),
            settings = settings_to_repeat(&house.config),
            id = first.application.id,
            meta = first.meta_token.expose_secret(),
        )
    })
}

/// This program as a shell finds it again from the same folder.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.is_empty() { "tramontane".to_owned() } else { quoted(&called) }
}

/// The flags that lead another command to the same data: what was given, secrets left out.
fn settings_to_repeat(config: &Config) -> String {
    let mut flags = String::new();
    if let Some(file) = &config.file {
        flags.push_str(&format!(" --config {}", quoted(&file.display().to_string())));
    }
    let shown = config.settings.show();
    for (name, value) in shown.iter().filter(|(_, value)| !value.contains("***")) {
        let given = matches!(config.sources.get(name), Some(&("flag" | "environment")));
        if given && matches!(*name, "data_dir" | "master_key_file") {
            flags.push_str(&format!(" --{} {}", name.replace('_', "-"), quoted(value)));
        }
    }
    flags
}

/// A word for a shell, in quotes when it needs them.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:=@%".contains(&byte);
    if word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
