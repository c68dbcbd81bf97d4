//! The settings: every key once, with its type, default and explanation. Flags, environment, file and
//! documentation are all made from this table.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

/// A kind of value that a setting can have.
pub trait Value: Sized {
    /// Reads the text of a flag, an environment variable or a file's scalar.
    ///
    /// # Errors
    /// The rule that the text breaks.
    fn read(text: &str) -> Result<Self, String>;
    /// Writes it for people. Secrets write `***`.
    fn show(&self) -> String;
}

impl Value for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("must be true or false".into()),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u64 {
    fn read(text: &str) -> Result<Self, String> {
        text.replace('_', "").parse().map_err(|_| "must be a whole number, 0 or more".into())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for SocketAddr {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be an address and a port, like 127.0.0.1:8080".into())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for SecretString {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
    fn show(&self) -> String {
        if self.expose_secret().is_empty() { String::new() } else { "***".into() }
    }
}

impl<T: Value> Value for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::read(text).map(Some) }
    }
    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(T::read).collect()
    }
    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(",")
    }
}

/// One key of the settings, for flags and documentation.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name in the file: `data_dir`. The flag is `--data-dir`, the variable `TRAMONTANE_DATA_DIR`.
    pub name: &'static str,
    /// The default, as text.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
}

impl Key {
    /// The flag, without the dashes in front.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TRAMONTANE_{}", self.name.to_ascii_uppercase())
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:literal;)*) => {
        /// All settings, read and checked.
        #[derive(Clone, Debug)]
        pub struct Settings { $($(#[doc = $doc])+ pub $name: $kind,)* }

        /// Every key, in the order of the documentation.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            default: $default,
            help: concat!($($doc),+),
        },)*];

        impl Settings {
            /// Reads every key from `text_of`, which gives its text and where that came from.
            ///
            /// # Errors
            /// The key, where it came from, and the rule that is broken.
            pub fn read(mut text_of: impl FnMut(&Key) -> (String, String)) -> Result<Self, String> {
                let mut keys = KEYS.iter();
                Ok(Self { $($name: {
                    let key = keys.next().ok_or("the table of keys is short")?;
                    let (text, source) = text_of(key);
                    <$kind as Value>::read(&text)
                        .map_err(|rule| format!("{} ({source}) {rule}.", key.name))?
                },)* })
            }

            /// Every key with its value for people, secrets as `***`.
            #[must_use]
            pub fn show(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), Value::show(&self.$name)),)*]
            }
        }
    };
}

settings! {
    /// Where everything that this server keeps on disk lives: the embedded database, the master key, and parts of uploads that are under way. Made on first start.
    data_dir: PathBuf = "tramontane-data";
    /// The address and port to listen on.
    listen: SocketAddr = "127.0.0.1:8080";
    /// The public URLs of this server, comma-separated, as clients write them; they may have a path. Empty: the Host header of each request counts.
    public_urls: Vec<String> = "";
    /// Addresses (CIDR) of proxies whose Forwarded and X-Forwarded-* headers are believed, comma-separated.
    trusted_proxies: Vec<String> = "";
    /// The database: empty for SQLite in the data directory, else sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME. DATABASE_URL is read too.
    database_url: SecretString = "";
    /// The most connections to a PostgreSQL database.
    database_connections: u64 = "16";
    /// The master key that seals all credentials: 32 bytes in base64. Empty: it is read from master_key_file.
    master_key: SecretString = "";
    /// The file with the master key. Empty: master.key in the data directory, made on first start.
    master_key_file: Option<PathBuf> = "";
    /// Master keys of before, comma-separated, while `tramontane rotate-keys` moves to a new one.
    previous_master_keys: Vec<SecretString> = "";
    /// Private addresses that services may be reached on, comma-separated: a CIDR (10.0.0.0/8), an address, or host:port. All other private, loopback and link-local addresses are refused.
    allow_addresses: Vec<String> = "";
    /// Whether webhooks may have plain http URLs. What they carry can then be read on the way: for tests, and inside a private network.
    insecure_webhooks: bool = "false";
    /// Base URLs in place of a service's own, comma-separated: service=URL, or service.part=URL for one part (`onedrivebiz.login=https://login.microsoftonline.us`). For sovereign clouds, gateways and tests.
    service_urls: Vec<String> = "";
    /// Whether `serve` also runs the sandbox: simulated services with one-click consent, in memory, on sandbox_listen. Every simulated service is then reached there instead of at its own URL. For trying out and for tests.
    sandbox: bool = "false";
    /// The address and port of the sandbox. It has no accounts to protect, and hands out tokens to everyone: keep it on this machine.
    sandbox_listen: SocketAddr = "127.0.0.1:8081";
    /// OAuth clients of this server at services, comma-separated: service=client_id:client_secret, or service=client_id:@FILE for a private key in a file; service.admin=... for organisation-wide access. An application's own service keys come before them.
    oauth_clients: Vec<SecretString> = "";
    /// A file of PEM certificates that are trusted for services beside the built-in ones: an organisation's own authority.
    extra_ca_file: Option<PathBuf> = "";
    /// What is logged: error, warn, info, debug, trace, or a filter like info,tramontane_wire=debug.
    log: String = "info";
    /// How log lines look: text or json.
    log_format: String = "text";
    /// The base URL of an OpenTelemetry collector that takes traces by OTLP over HTTP, like http://127.0.0.1:4318. Empty: none are sent.
    otlp_endpoint: Option<String> = "";
    /// Seconds that a stopping server gives requests and tasks that are under way.
    drain_seconds: u64 = "30";
    /// The most connections open at once.
    max_connections: u64 = "4096";
    /// The most requests worked on at once; more are refused with 429.
    max_requests: u64 = "1024";
    /// The most bytes in a JSON body.
    max_json_bytes: u64 = "1048576";
    /// The most bytes in a JSON body of a batch endpoint.
    max_batch_bytes: u64 = "10485760";
    /// The most bytes in one uploaded file; 0 for no limit of ours.
    max_upload_bytes: u64 = "0";
    /// Seconds until a service must have begun to answer; a request's Tramontane-Deadline header replaces it.
    upstream_seconds: u64 = "30";
    /// Seconds without a byte after which a body is given up, in either direction.
    idle_seconds: u64 = "60";
    /// The most calls at once to one account; 0: what its connector says.
    account_concurrency: u64 = "0";
    /// Requests that one application may make in a minute; 0 for no limit.
    application_requests_per_minute: u64 = "0";
    /// Requests that one account may get in a minute; 0 for no limit.
    account_requests_per_minute: u64 = "0";
    /// Event streams that one application may have open at once, requests that wait for events included.
    application_streams: u64 = "100";
    /// Days that events are kept, at least 7; the newest 10,000 of each account stay in any case. Applications may ask for fewer days (event_days).
    event_days: u64 = "30";
    /// Accounts that are asked for changes at once.
    poll_concurrency: u64 = "64";
    /// Questions for changes in a second that are aimed at, of one service, all its accounts together. What a service pushes comes before, and its own limits hold in any case.
    poll_service_rate: u64 = "20";
    /// Questions for changes in a second that are aimed at, of all services together.
    poll_rate: u64 = "200";
    /// Connections that may be held open at services that answer them when something changes.
    long_polls: u64 = "512";
    /// The most items that a recursive listing, search or copy without a task walks through.
    walk_items: u64 = "100000";
    /// The most bytes of disk that spooled uploads may take together.
    spool_bytes: u64 = "53687091200";
    /// Tasks that run at once.
    task_concurrency: u64 = "8";
    /// Whether /metrics answers without a credential. Turn it off where the port is open to the world, and scrape metrics_listen.
    metrics: bool = "true";
    /// Another address and port for /metrics, /healthz and /readyz alone.
    metrics_listen: Option<SocketAddr> = "";
    /// Days that lines of the request log are kept.
    request_log_days: u64 = "7";
    /// The first account id that this server hands out.
    account_id_first: u64 = "100000000";
    /// The last account id that this server hands out.
    account_id_last: u64 = "2147483647";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_readable_and_secrets_are_not_shown() -> Result<(), String> {
        let settings = Settings::read(|key| {
            let text = if key.name == "master_key" { "hush" } else { key.default };
            (text.into(), "default".into())
        })?;
        let shown = settings.show();
        assert_eq!(shown.len(), KEYS.len());
        assert!(shown.contains(&("master_key", "***".into())));
        assert!(!format!("{settings:?}").contains("hush"));
        Ok(())
    }

    #[test]
    fn a_bad_value_names_its_key_and_rule() {
        let read = Settings::read(|key| {
            let text = if key.name == "listen" { "8080" } else { key.default };
            (text.into(), "flag".into())
        });
        let error = read.err().unwrap_or_default();
        assert!(error.contains("listen") && error.contains("address and a port"), "{error}");
    }
}
