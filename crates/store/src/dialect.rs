//! The only place that asks which engine it is: the few texts in which SQLite and PostgreSQL differ.

/// The engine behind a [`Db`](crate::Db).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// One file beside the process.
    Sqlite,
    /// A server that several nodes share.
    Postgres,
}

impl Dialect {
    /// The engine that a URL names.
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        let scheme = url.split_once(':')?.0;
        match scheme {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }

    /// The engine's name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Starts a transaction that writes. SQLite must take the write lock at once: a transaction that
    /// reads first and writes later fails, without waiting, when another process wrote in between.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Starts a transaction that only reads, all of it from one snapshot of the database.
    pub(crate) fn begin_reading(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN DEFERRED",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// What every new connection runs first.
    pub(crate) fn on_connect(self, writes: bool) -> &'static [&'static str] {
        match (self, writes) {
            (Self::Sqlite, true) => &[
                "PRAGMA busy_timeout = 5000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA foreign_keys = ON",
                "PRAGMA synchronous = FULL",
            ],
            // A reader that cannot write proves that reading requests write nothing.
            (Self::Sqlite, false) => &[
                "PRAGMA busy_timeout = 5000",
                "PRAGMA foreign_keys = ON",
                "PRAGMA query_only = ON",
            ],
            (Self::Postgres, _) => &[],
        }
    }

    /// The URL of connections that refuse writes, where the URL is what says it.
    #[cfg(feature = "testing")]
    pub(crate) fn read_only(self, url: &str) -> String {
        match self {
            Self::Sqlite => url.to_owned(),
            Self::Postgres => {
                let separator = if url.contains('?') { '&' } else { '?' };
                format!("{url}{separator}options[default_transaction_read_only]=on")
            }
        }
    }

    /// A select of the engine's own time, in seconds since 1970.
    pub(crate) fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT CAST(strftime('%s', 'now') AS BIGINT)",
            Self::Postgres => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT)",
        }
    }

    /// After a sub-select that picks rows to claim: lets concurrent claimers pick different rows. With
    /// SQLite's single writer there is no concurrent claimer.
    pub(crate) fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// After a select of a row that the transaction will change.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// A list of integers given as one JSON array in a parameter, for `IN`.
    pub(crate) fn integers(self, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("(SELECT value FROM json_each({parameter}))"),
            Self::Postgres => {
                format!("(SELECT value::bigint FROM json_array_elements_text({parameter}::json))")
            }
        }
    }

    /// Whether a JSON object column holds every member of the JSON object in a parameter.
    pub(crate) fn holds(self, column: &str, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "NOT EXISTS (SELECT 1 FROM json_each({parameter}) AS want WHERE NOT EXISTS \
                 (SELECT 1 FROM json_each({column}) AS have \
                 WHERE have.key = want.key AND have.value = want.value))"
            ),
            Self::Postgres => format!("{column}::jsonb @> {parameter}::jsonb"),
        }
    }
}
