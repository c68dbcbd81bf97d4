//! Wiring: the only file that knows every crate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use ipnet::IpNet;
use secrecy::ExposeSecret as _;
use tramontane_accounts::upstream::{BackChannel, GrantOptions, Grants, OperatorClients};
use tramontane_accounts::{Directory, Keys, Masters, Options};
use tramontane_api::limits::Rate;
use tramontane_api::{ApiLimits, App, Fetch, Parts, Site, WebhookView};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Bases, Lent, Registry};
use tramontane_feeds::deliver::{DeliveryOptions, Post};
use tramontane_feeds::retention::{LEAST_DAYS, MOST_DAYS};
use tramontane_feeds::{Deliveries, Feeds, Live, Log, Pushing};
use tramontane_fill::{Ceilings, Spool};
use tramontane_model::{Clock, SystemClock};
use tramontane_store::{Db, Journal, Limits};
use tramontane_tasks::Tasks;
use tramontane_vault::{Entropy, MasterKey, SystemEntropy};
use tramontane_wire::{Guard, SystemLookup, Wire, WireConfig};
use url::Url;

use crate::config::Config;
use crate::master_key;
use crate::pushes::ClientSecrets;
use crate::settings::Settings;

/// Everything that commands work with.
pub struct House {
    /// The settings.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// Applications, accounts, tokens.
    pub directory: Directory,
    /// OAuth at services.
    pub grants: Grants,
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

/// The services of this server, at the base URLs of the settings.
///
/// # Errors
/// A malformed `service_urls`.
pub fn registry(config: &Config) -> anyhow::Result<Registry> {
    let pairs = config.settings.service_urls.iter().map(String::as_str);
    let bases = Bases::parse(pairs).map_err(|rule| anyhow!("Setting service_urls: {rule}."))?;
    let registry = registry_at(&bases)?;
    let unknown = |name: &&str| registry.get(name.split('.').next().unwrap_or_default()).is_none();
    if let Some(name) = bases.names().find(unknown) {
        let names = registry.names().join(", ");
        return Err(anyhow!(
            "Setting service_urls: there is no service {name}; there are {names}."
        ));
    }
    Ok(registry)
}

/// The services as they are anywhere: for documentation and help.
///
/// # Errors
/// None that an operator could cause.
pub fn services() -> anyhow::Result<Registry> {
    registry_at(&Bases::default())
}

fn registry_at(bases: &Bases) -> anyhow::Result<Registry> {
    let connectors = tramontane_connectors::all(bases);
    Ok(Registry::of(connectors.context("Setting service_urls")?))
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

/// The API and the tasks behind it.
pub struct Built {
    /// What handlers need.
    pub app: App,
    /// Background tasks.
    pub tasks: Tasks,
    /// What follows accounts.
    pub feeds: Feeds,
    /// Webhooks at work.
    pub deliveries: Deliveries,
}

/// The wire, as the API asks for it.
struct Fetching(Arc<Wire>);

#[async_trait]
impl Fetch for Fetching {
    async fn fetch(&self, url: Url, within: Duration) -> tramontane_connector::Result<Response> {
        self.0.fetch(url, within).await
    }

    async fn send(
        &self,
        request: Request,
        within: Duration,
    ) -> tramontane_connector::Result<Response> {
        self.0.unsigned(request, within).await
    }
}

#[async_trait]
impl Post for Fetching {
    async fn post(
        &self,
        request: Request,
        within: Duration,
    ) -> tramontane_connector::Result<Response> {
        self.0.unsigned(request, within).await
    }
}

#[async_trait]
impl BackChannel for Fetching {
    async fn send(
        &self,
        request: Request,
        within: Duration,
    ) -> tramontane_connector::Result<Response> {
        self.0.unsigned(request, within).await
    }
}

/// OAuth at services, with the operator's clients.
///
/// # Errors
/// A malformed `oauth_clients`.
fn grants(
    config: &Config,
    directory: &Directory,
    registry: &Registry,
    wire: &Arc<Wire>,
) -> anyhow::Result<Grants> {
    let pairs = config.settings.oauth_clients.iter().map(|pair| pair.expose_secret());
    let clients = OperatorClients::parse(pairs, &|path| std::fs::read_to_string(path))
        .map_err(|rule| anyhow!("Setting oauth_clients: {rule}."))?;
    let with_oauth = |name: &str| registry.get(name).is_some_and(|one| one.oauth().is_some());
    if let Some(name) = clients.services().find(|name| !with_oauth(name)) {
        return Err(anyhow!("Setting oauth_clients: {name} is no service that has OAuth."));
    }
    let channel = Arc::new(Fetching(Arc::clone(wire)));
    let options = GrantOptions::default();
    Ok(Grants::new(directory.clone(), registry.clone(), clients, channel, options))
}

/// Puts the API together.
///
/// # Errors
/// Malformed public URLs or proxies.
pub fn api(house: &House, journal: Journal, spool: Spool) -> anyhow::Result<Built> {
    let settings = &house.config.settings;
    let proxies = settings.trusted_proxies.iter().map(|text| {
        let range = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        range.map_err(|_| anyhow!("Setting trusted_proxies: \"{text}\" is no CIDR and no address."))
    });
    let proxies = proxies.collect::<anyhow::Result<Vec<_>>>()?;
    let site = Site::new(&settings.public_urls, proxies)
        .map_err(|rule| anyhow!("Setting public_urls: {rule}."))?;
    let days = LEAST_DAYS..=MOST_DAYS;
    if !days.contains(&i64::try_from(settings.event_days).unwrap_or(i64::MAX)) {
        return Err(anyhow!("Setting event_days: must be between {LEAST_DAYS} and {MOST_DAYS}."));
    }
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let rate = |requests: u64| {
        (requests > 0).then_some(Rate { requests, window: Duration::from_secs(60) })
    };
    let limits = ApiLimits {
        json_body: size(settings.max_json_bytes),
        batch_body: size(settings.max_batch_bytes),
        upload_body: (settings.max_upload_bytes > 0).then_some(settings.max_upload_bytes),
        concurrency: size(settings.max_requests),
        connections: size(settings.max_connections),
        body_pause: Duration::from_secs(settings.idle_seconds),
        deadline: Duration::from_secs(settings.upstream_seconds),
        drain: Duration::from_secs(settings.drain_seconds),
        insecure_webhooks: settings.insecure_webhooks,
        application_rate: rate(settings.application_requests_per_minute),
        account_rate: rate(settings.account_requests_per_minute),
        streams: size(settings.application_streams),
        ..ApiLimits::default()
    };
    let ceilings = Ceilings {
        walk_items: settings.walk_items,
        spool_bytes: settings.spool_bytes,
        ..Ceilings::default()
    };
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    // Tasks of this data directory are this process's own, also after a restart.
    let node = format!("node-{}", node_name(house));
    let tasks = tramontane_tasks::Settings {
        max_running: size(settings.task_concurrency),
        ..tramontane_tasks::Settings::of_node(node)
    };
    let tasks = Tasks::new(house.db.clone(), Arc::clone(&house.clock), Arc::clone(&entropy), tasks);
    let lent: Arc<dyn Lent> = house.wire.clone();
    let log = Log::new(house.db.clone(), Live::default());
    // What is not asked for by a request has no host of its own to begin with.
    let base = match settings.public_urls.first() {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", settings.listen),
    };
    let deliveries = Deliveries::new(
        house.directory.clone(),
        log.clone(),
        Arc::new(Fetching(Arc::clone(&house.wire))),
        Arc::clone(&entropy),
        DeliveryOptions::default(),
    );
    let app = App::new(Parts {
        deliveries: deliveries.clone(),
        directory: house.directory.clone(),
        grants: house.grants.clone(),
        registry: house.registry.clone(),
        lent,
        fetch: Arc::new(Fetching(Arc::clone(&house.wire))),
        tasks: tasks.clone(),
        log,
        entropy,
        journal,
        spool,
        ceilings,
        site,
        limits,
    });
    deliveries.show_with(Arc::new(WebhookView::new(&app, base)));
    let feeds = feeds(house, &app);
    app.follow_with(feeds.clone());
    Ok(Built { app, tasks, feeds, deliveries })
}

/// The running feed, with the log that the API reads.
fn feeds(house: &House, app: &App) -> Feeds {
    let start = tramontane_vault::random_id(&SystemEntropy, 8);
    Feeds::new(tramontane_feeds::Parts {
        db: house.db.clone(),
        directory: house.directory.clone(),
        registry: house.registry.clone(),
        lent: house.wire.clone(),
        clock: Arc::clone(&house.clock),
        pushing: Pushing {
            base: push_base(house),
            entropy: Arc::new(SystemEntropy),
            keys: Arc::new(ClientSecrets(house.grants.clone())),
        },
        node: format!("node-{}", node_name(house)),
        start,
        live: app.log().live().clone(),
        subscriptions: app.following().changes(),
        options: feed_options(&house.config.settings),
    })
}

/// What the operator can set of the running feed.
fn feed_options(settings: &Settings) -> tramontane_feeds::Options {
    let rate = |number: u64| f64::from(u32::try_from(number.max(1)).unwrap_or(u32::MAX));
    tramontane_feeds::Options {
        concurrency: usize::try_from(settings.poll_concurrency.max(1)).unwrap_or(usize::MAX),
        service_rate: rate(settings.poll_service_rate),
        rate: rate(settings.poll_rate),
        days: event_days(settings),
        long_polls: usize::try_from(settings.long_polls).unwrap_or(usize::MAX),
    }
}

/// The days that events are kept; checked by [`api`].
fn event_days(settings: &Settings) -> i64 {
    i64::try_from(settings.event_days).unwrap_or(i64::MAX).min(MOST_DAYS)
}

/// Where services can push to: the first public URL. Services of the sandbox reach this machine itself.
fn push_base(house: &House) -> Option<Url> {
    let settings = &house.config.settings;
    let public = settings.public_urls.first().and_then(|text| Url::parse(text).ok());
    let own = || Url::parse(&format!("http://{}", settings.listen)).ok();
    let base = public.filter(|url| url.scheme() == "https" || settings.sandbox);
    let mut base = base.or_else(|| own().filter(|_| settings.sandbox))?;
    // A public URL may have a path.
    base.path_segments_mut().ok()?.pop_if_empty().extend(["v1", "push", ""]);
    Some(base)
}

/// A name that stays the same for a data directory on a machine.
fn node_name(house: &House) -> String {
    let path = std::fs::canonicalize(&house.config.settings.data_dir).unwrap_or_default();
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    tramontane_vault::hash(&format!("{}{}", host.trim(), path.display())).chars().take(16).collect()
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
        let registry = registry(&config)?;
        let wire = Arc::new(wire(&config, &registry, &clock)?);
        let grants = grants(&config, &directory, &registry, &wire)?;
        wire.set_tokens(Arc::new(grants.clone()));
        Ok(Self { config, db, directory, grants, registry, wire, clock })
    }
}
