//! Where settings come from: flags before environment before file before defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use secrecy::ExposeSecret as _;

use crate::commands::sandbox;
use crate::settings::{KEYS, Key, Settings};

/// The settings in force and where each came from.
#[derive(Debug)]
pub struct Config {
    /// The settings.
    pub settings: Settings,
    /// Key to source: `flag`, `environment`, `file`, `default`.
    pub sources: BTreeMap<&'static str, &'static str>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Adds one global flag per setting, each with its environment variable.
pub fn with_flags(command: Command) -> Command {
    let file = Arg::new("config_file")
        .long("config")
        .env("TRAMONTANE_CONFIG")
        .value_name("FILE")
        .global(true)
        .hide_env_values(true)
        .help("A TOML file with settings, one key = value a line");
    let flags = KEYS.iter().map(|key| {
        let flag = Arg::new(key.name)
            .long(key.flag())
            .env(key.variable())
            .value_name(key.name.to_ascii_uppercase())
            .global(true)
            .hide_env_values(true)
            .hide_short_help(!matches!(
                key.name,
                "data_dir" | "listen" | "database_url" | "sandbox"
            ))
            .allow_negative_numbers(true)
            .help_heading("Settings")
            .help(key.help);
        // `serve --sandbox` is what people type.
        if key.name == "sandbox" {
            flag.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            flag
        }
    });
    command.arg(file).args(flags)
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// A file that cannot be read or has unknown keys; a value that breaks its rule.
    pub fn load(matches: &ArgMatches) -> anyhow::Result<Self> {
        let file = matches.get_one::<String>("config_file").map(PathBuf::from);
        let from_file = match &file {
            Some(path) => read_file(path)?,
            None => BTreeMap::new(),
        };
        let mut sources = BTreeMap::new();
        let settings = Settings::read(|key| {
            let (text, source) = find(key, matches, &from_file);
            sources.insert(key.name, source);
            (text, source.to_owned())
        });
        let settings = settings.map_err(|rule| anyhow::anyhow!("Setting {rule}"))?;
        let mut config = Self { settings, sources, file };
        config.check()?;
        if config.settings.sandbox {
            sandbox::point_to(&mut config.settings);
        }
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let settings = &self.settings;
        if !matches!(settings.log_format.as_str(), "text" | "json") {
            bail!("Setting log_format must be text or json, not \"{}\".", settings.log_format);
        }
        for url in &settings.public_urls {
            let parsed = url::Url::parse(url);
            let fine = parsed.is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.has_host()
            });
            if !fine {
                bail!(
                    "Setting public_urls: \"{url}\" must be an http or https URL without a query."
                );
            }
        }
        let last = i64::from(i32::MAX).unsigned_abs();
        let (first_id, last_id) = (settings.account_id_first, settings.account_id_last);
        if first_id < 1 || first_id >= last_id || last_id > last {
            bail!(
                "Settings account_id_first and account_id_last must be a range within 1 to {last}."
            );
        }
        for (name, value) in [
            ("max_connections", settings.max_connections),
            ("max_requests", settings.max_requests),
            ("database_connections", settings.database_connections),
            ("task_concurrency", settings.task_concurrency),
            ("upstream_seconds", settings.upstream_seconds),
            ("idle_seconds", settings.idle_seconds),
        ] {
            if value == 0 {
                bail!("Setting {name} must be at least 1.");
            }
        }
        Ok(())
    }

    /// The database's URL: what is set, else SQLite in the data directory.
    #[must_use]
    pub fn database_url(&self) -> String {
        let set = self.settings.database_url.expose_secret();
        if !set.is_empty() {
            return set.to_owned();
        }
        tramontane_store::Db::sqlite_url(&self.embedded_database())
    }

    /// Where the embedded database is, when no other is set.
    #[must_use]
    pub fn embedded_database(&self) -> PathBuf {
        self.settings.data_dir.join("tramontane.db")
    }

    /// The file with the master key.
    #[must_use]
    pub fn master_key_file(&self) -> PathBuf {
        let set = self.settings.master_key_file.clone();
        set.unwrap_or_else(|| self.settings.data_dir.join("master.key"))
    }
}

fn find(
    key: &Key,
    matches: &ArgMatches,
    from_file: &BTreeMap<String, String>,
) -> (String, &'static str) {
    if let Some(text) = matches.get_one::<String>(key.name) {
        let source = match matches.value_source(key.name) {
            Some(ValueSource::EnvVariable) => "environment",
            _ => "flag",
        };
        return (text.clone(), source);
    }
    if key.name == "database_url"
        && let Ok(url) = std::env::var("DATABASE_URL")
        && !url.is_empty()
    {
        return (url, "environment");
    }
    match from_file.get(key.name) {
        Some(text) => (text.clone(), "file"),
        None => (key.default.to_owned(), "default"),
    }
}

fn read_file(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("The configuration file {} cannot be read", path.display()))?;
    read_text(&text, &path.display().to_string())
}

/// Reads the text of a configuration file; `path` names it in errors.
pub(crate) fn read_text(text: &str, path: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let table: toml::Table = toml::from_str(text)
        .with_context(|| format!("The configuration file {path} is not TOML"))?;
    let mut found = BTreeMap::new();
    for (name, value) in table {
        if !KEYS.iter().any(|key| key.name == name) {
            bail!("{path}: there is no setting \"{name}\". `tramontane config` lists them.");
        }
        found.insert(name.clone(), scalar(&value).with_context(|| name)?);
    }
    Ok(found)
}

fn scalar(value: &toml::Value) -> anyhow::Result<String> {
    Ok(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(truth) => truth.to_string(),
        toml::Value::Array(items) => {
            items.iter().map(scalar).collect::<anyhow::Result<Vec<_>>>()?.join(",")
        }
        _ => bail!("must be a string, a number, true or false, or a list of those"),
    })
}
