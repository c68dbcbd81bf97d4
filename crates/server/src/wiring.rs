//! Wiring: the only file that knows every crate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use secrecy::ExposeSecret as _;
use tramontane_accounts::{Directory, Keys, Masters, Options};
use tramontane_connector::Registry;
use tramontane_model::{Clock, SystemClock};
use tramontane_store::{Db, Limits};
use tramontane_vault::{MasterKey, SystemEntropy};
use tramontane_wire::{Guard, SystemLookup, Wire, WireConfig};

use crate::config::Config;
use crate::master_key;

/// Everything that commands work with.
pub struct House {
    /// The settings.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// Applications, accounts, tokens.
    pub directory: Directory,
    /// The services.
    pub registry: Registry,
    /// The way out.
    pub wire: Arc<Wire>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Opens the database, without looking at what is in it.
///
/// # Errors
/// When it cannot be reached.
pub async fn open_database(config: &Config) -> anyhow::Result<Db> {
    let connections = u32::try_from(config.settings.database_connections).unwrap_or(u32::MAX);
    let limits = Limits { connections, ..Limits::default() };
    Db::connect_with(&config.database_url(), limits).await.context("The database cannot be opened")
}

/// The master keys in force.
///
/// # Errors
/// When there is none, or one is malformed.
pub fn masters(config: &Config, create: bool) -> anyhow::Result<Masters> {
    let make = || create.then(|| MasterKey::generate(&SystemEntropy).to_text());
    let text = master_key::load(config, make)?;
    let current = MasterKey::parse(text.expose_secret()).context("The master key is malformed")?;
    let previous = config.settings.previous_master_keys.iter().map(|text| {
        MasterKey::parse(text.expose_secret()).context("A key in previous_master_keys is malformed")
    });
    Ok(Masters { current, previous: previous.collect::<anyhow::Result<_>>()? })
}

/// The services of this server.
#[must_use]
pub fn registry() -> Registry {
    Registry::of(tramontane_connectors::all())
}

/// The way out, as the settings say.
///
/// # Errors
/// A malformed allow list, or certificates that cannot be read.
pub fn wire(config: &Config, registry: &Registry, clock: &Arc<dyn Clock>) -> anyhow::Result<Wire> {
    let settings = &config.settings;
    let guard = Guard::allowing(&settings.allow_addresses)
        .map_err(|rule| anyhow!("Setting allow_addresses: {rule}."))?;
    let extra_ca = match &settings.extra_ca_file {
        Some(path) => {
            let read = std::fs::read(path);
            Some(read.with_context(|| {
                format!("Setting extra_ca_file: {} cannot be read", path.display())
            })?)
        }
        None => None,
    };
    let places = usize::try_from(settings.account_concurrency).unwrap_or(usize::MAX);
    let wire = WireConfig {
        guard,
        idle: Duration::from_secs(settings.idle_seconds),
        account_concurrency: (places > 0).then_some(places),
        extra_ca,
        ..WireConfig::default()
    };
    Wire::new(wire, registry.clone(), Arc::clone(clock), Arc::new(SystemLookup))
        .map_err(|rule| anyhow!("{rule}"))
}

impl House {
    /// Opens everything. With `create`, makes what a first start makes: data directory, master key,
    /// tables.
    ///
    /// # Errors
    /// Whatever is missing, with what to do.
    pub async fn open(config: Config, create: bool) -> anyhow::Result<Self> {
        if create {
            master_key::make_data_dir(&config.settings.data_dir)?;
        } else if !config.settings.data_dir.is_dir() {
            return Err(anyhow!(
                "There is no data directory at {}. `tramontane serve` makes it on first start; or name it with \
                 --data-dir.",
                config.settings.data_dir.display()
            ));
        }
        let db = open_database(&config).await?;
        db.migrate().await.context("The database cannot be brought up to date")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let masters = masters(&config, create)?;
        let keys = Keys::load(db.clone(), masters, Arc::clone(&clock), Arc::new(SystemEntropy))
            .await
            .context("The data keys cannot be opened")?;
        let first = i64::try_from(config.settings.account_id_first)?;
        let last = i64::try_from(config.settings.account_id_last)?;
        let options = Options { account_ids: first..=last, ..Options::default() };
        let directory = Directory::new(db.clone(), keys, options)?;
        let registry = registry();
        let wire = Arc::new(wire(&config, &registry, &clock)?);
        Ok(Self { config, db, directory, registry, wire, clock })
    }
}
