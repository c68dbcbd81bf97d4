//! `tramontane sandbox`, and `serve --sandbox`: simulated services for trying out and for tests.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tramontane_sandbox::{CLIENT_ID, CLIENT_SECRET, Config as World, PEOPLE, Running, Sandbox};

use crate::config::Config;
use crate::lifecycle::stop_signal;
use crate::output::Output;
use crate::settings::Settings;

/// The command.
pub fn command() -> Command {
    Command::new("sandbox")
        .about("Run simulated services with one-click consent, for trying out and for tests")
        .after_help(
            "Everything is in memory and gone when it stops. Point a server at it with \
             --service-urls, or run both in one with: tramontane serve --sandbox",
        )
        .arg(
            Arg::new("seed").long("seed").value_name("NUMBER").help(
                "Make ids and tokens from this number, so that the next run gives the same ones",
            ),
        )
}

/// Runs it until it is asked to stop.
///
/// # Errors
/// When the address is taken.
pub async fn run(matches: &ArgMatches, config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let seed = matches.get_one::<String>("seed").map(|text| text.parse::<u64>());
    let seed = seed.transpose().context("--seed must be a whole number, 0 or more")?;
    let running = start(config.settings.sandbox_listen, seed).await?;
    let services = running.sandbox.names();
    let value = json!({
        "url": format!("http://{}", running.address), "services": services, "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET, "people": PEOPLE.iter().map(|person| person.email).collect::<Vec<_>>(),
    });
    output.print(&value, |_| about(&running))?;
    let stop = stop_signal()?;
    stop.cancelled().await;
    Ok(ExitCode::SUCCESS)
}

/// Starts the simulated services.
///
/// # Errors
/// When the address is taken.
pub async fn start(address: SocketAddr, seed: Option<u64>) -> anyhow::Result<Running> {
    let mut world = World::default();
    if let Some(seed) = seed {
        world.seed = seed;
    }
    let started = Sandbox::new(&world).start_at(address).await;
    started.with_context(|| format!("The address {address} (sandbox_listen) cannot be listened on"))
}

/// What it says when it has started.
pub fn about(running: &Running) -> String {
    let people: Vec<&str> = PEOPLE.iter().map(|person| person.email).collect();
    format!(
        "Sandbox      http://{}  ({})\n\
         OAuth client {CLIENT_ID} / {CLIENT_SECRET}, the same at each of them; people: {}",
        running.address,
        running.sandbox.names().join(", "),
        people.join(", "),
    )
}

/// Makes a server with these settings look for the simulated services in its sandbox. What the
/// operator set for a service stays.
pub fn point_to(settings: &mut Settings) {
    let address = settings.sandbox_listen;
    for name in Sandbox::new(&World::default()).names() {
        let set = |pair: &String| {
            let service = pair.split(['=', '.']).next().unwrap_or_default();
            service == name
        };
        if !settings.service_urls.iter().any(set) {
            settings.service_urls.push(format!("{name}=http://{address}/{name}"));
        }
        let set = |pair: &SecretString| {
            let service = pair.expose_secret().split(['=', '.']).next().unwrap_or_default();
            service == name
        };
        if !settings.oauth_clients.iter().any(set) {
            let pair = format!("{name}={CLIENT_ID}:{CLIENT_SECRET}");
            settings.oauth_clients.push(SecretString::from(pair));
        }
    }
    settings.allow_addresses.push(address.to_string());
}
