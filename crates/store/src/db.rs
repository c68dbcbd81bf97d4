//! The connection to the database: one writer and some readers on SQLite, one pool on PostgreSQL.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, ConnectOptions as _, Connection as _, Executor as _, SqlSafeStr as _};

use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::rows::Bounds;

/// A transaction; rolled back when dropped.
pub(crate) type Tx = sqlx::Transaction<'static, Any>;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    writer: AnyPool,
    reader: AnyPool,
    dialect: Dialect,
    bounds: Bounds,
    writes: Arc<AtomicU64>,
}

/// How many connections, and how patient.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections of the pool on PostgreSQL; readers on SQLite.
    pub connections: u32,
    /// How long a caller waits for one.
    pub acquire_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 8, acquire_timeout: Duration::from_secs(10) }
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Db({})", self.dialect.name())
    }
}

static DRIVERS: Once = Once::new();

/// So much fits into one TLS record. The driver leaves Nagle's algorithm on (sqlx 0.9.0), and the second of two
/// records then waits for the server's delayed acknowledgement of the first: 40 ms for each statement that is longer.
const TLS_BURST: usize = 12 << 10;
/// No engine's limit of parameters is met.
const WIDE: Bounds = Bounds { rows: 512, bytes: usize::MAX };
/// SQLite's driver looks each parameter up by its name: many cost the square.
const NARROW: Bounds = Bounds { rows: 16, bytes: usize::MAX };

/// The migrations in order: number, name, text. A text that was released never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "foundation", include_str!("../migrations/0001_foundation.sql")),
    (2, "grants", include_str!("../migrations/0002_grants.sql")),
    (3, "connect", include_str!("../migrations/0003_connect.sql")),
    (4, "activity", include_str!("../migrations/0004_activity.sql")),
    (5, "links", include_str!("../migrations/0005_links.sql")),
    (6, "deliveries", include_str!("../migrations/0006_deliveries.sql")),
    (7, "announcements", include_str!("../migrations/0007_announcements.sql")),
    (8, "retention", include_str!("../migrations/0008_retention.sql")),
];

impl Db {
    /// Connects to `sqlite:PATH` or `postgres://...`. A SQLite file is made when it is not there;
    /// its folder must be.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::Unreachable`].
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, Limits::default()).await
    }

    /// As [`Db::connect`], with other limits.
    ///
    /// # Errors
    /// As [`Db::connect`].
    pub async fn connect_with(url: &str, limits: Limits) -> Result<Self> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let dialect = Dialect::of_url(url).ok_or(Error::BadUrl)?;
        match dialect {
            Dialect::Postgres => {
                if let Some(plain) = unencrypted(url)
                    && let Ok(pool) = pool(&plain, dialect, true, limits.connections, limits).await
                {
                    return Ok(Self::over(pool.clone(), pool, dialect));
                }
                let pool = pool(url, dialect, true, limits.connections, limits).await?;
                let bounds = Bounds { bytes: TLS_BURST, ..WIDE };
                Ok(Self { bounds, ..Self::over(pool.clone(), pool, dialect) })
            }
            Dialect::Sqlite => {
                let url = creating(url);
                let writer = pool(&url, dialect, true, 1, limits).await?;
                let reader = pool(&url, dialect, false, limits.connections.max(1), limits).await?;
                Ok(Self::over(writer, reader, dialect))
            }
        }
    }

    /// The same database through connections that the engine refuses every write on.
    #[cfg(feature = "testing")]
    pub(crate) async fn connect_read_only(url: &str) -> Result<Self> {
        let dialect = Dialect::of_url(url).ok_or(Error::BadUrl)?;
        let (url, limits) = (dialect.read_only(url), Limits::default());
        let pool = pool(&url, dialect, false, limits.connections, limits).await?;
        Ok(Self::over(pool.clone(), pool, dialect))
    }

    fn over(writer: AnyPool, reader: AnyPool, dialect: Dialect) -> Self {
        let bounds = match dialect {
            Dialect::Postgres => WIDE,
            Dialect::Sqlite => NARROW,
        };
        Self { writer, reader, dialect, bounds, writes: Arc::default() }
    }

    /// The URL of a SQLite file.
    #[must_use]
    pub fn sqlite_url(path: &Path) -> String {
        let mut url = String::from("sqlite:");
        for character in path.to_string_lossy().chars() {
            match character {
                '%' => url.push_str("%25"),
                '?' => url.push_str("%3F"),
                '#' => url.push_str("%23"),
                ' ' => url.push_str("%20"),
                other => url.push(other),
            }
        }
        url
    }

    /// Brings the tables to the form that this version needs. Safe to run twice, also at once from
    /// several processes.
    ///
    /// # Errors
    /// [`Error::Migration`], also when the database was made by a newer version.
    pub async fn migrate(&self) -> Result<()> {
        let migrator = migrator();
        match self.dialect {
            // The migrator takes an advisory lock of its own.
            Dialect::Postgres => migrator.run(&self.writer).await.map_err(Error::Migration),
            // There is none on SQLite, so the write lock is held around the whole run.
            Dialect::Sqlite => {
                let mut tx = self.begin().await?;
                migrator.run(&mut *tx).await.map_err(Error::Migration)?;
                Ok(tx.commit().await?)
            }
        }
    }

    /// The numbers of the migrations that this version brings, oldest first.
    pub fn known_migrations() -> impl Iterator<Item = i64> {
        MIGRATIONS.iter().map(|(number, ..)| *number)
    }

    /// The number of the newest migration that the database has; `None` when it has none.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and the like.
    pub async fn applied_migration(&self) -> Result<Option<i64>> {
        let row: std::result::Result<(Option<i64>,), _> =
            sqlx::query_as("SELECT MAX(version) FROM _sqlx_migrations")
                .fetch_one(&self.reader)
                .await;
        match row {
            Ok((version,)) => Ok(version),
            // A database without the table has no migration; everything else is passed on.
            Err(sqlx::Error::Database(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.reader.acquire().await?;
        Ok(connection.ping().await?)
    }

    /// The database's own time, in seconds since 1970: to be compared with ours.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and the like.
    pub async fn time(&self) -> Result<i64> {
        let (seconds,): (i64,) = sqlx::query_as(self.dialect.now()).fetch_one(&self.reader).await?;
        Ok(seconds)
    }

    /// How many transactions that write, and single statements that write, this process has begun. On
    /// SQLite nothing else can write: the other connections refuse it.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// How much one statement of many rows should carry.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Which engine this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Waits for what runs and closes every connection.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    pub(crate) fn reader(&self) -> &AnyPool {
        &self.reader
    }

    pub(crate) fn writer(&self) -> &AnyPool {
        self.writes.fetch_add(1, Ordering::Relaxed);
        &self.writer
    }

    /// A transaction that only reads: what it sees is the database at one moment.
    pub(crate) async fn begin_reading(&self) -> Result<Tx> {
        Ok(self.reader.begin_with(self.dialect.begin_reading()).await?)
    }

    pub(crate) async fn begin(&self) -> Result<Tx> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Ok(self.writer.begin_with(self.dialect.begin()).await?)
    }
}

/// The same URL without TLS, for a server on this very machine: there is nobody on the way, and what a URL asks for
/// that says nothing is TLS with whoever answers. `None` for other servers, and where the URL says something.
fn unencrypted(url: &str) -> Option<String> {
    if url.contains("sslmode") || url.contains("ssl-mode") {
        return None;
    }
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let here = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
        host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    });
    if !here {
        return None;
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{separator}sslmode=disable"))
}

fn creating(url: &str) -> Cow<'_, str> {
    match url.split_once('?') {
        Some((_, query)) if query.contains("mode=") => Cow::Borrowed(url),
        Some(_) => Cow::Owned(format!("{url}&mode=rwc")),
        None => Cow::Owned(format!("{url}?mode=rwc")),
    }
}

async fn pool(
    url: &str,
    dialect: Dialect,
    writes: bool,
    connections: u32,
    limits: Limits,
) -> Result<AnyPool> {
    let options = AnyConnectOptions::from_str(url).map_err(Error::Unreachable)?;
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(limits.acquire_timeout)
        .idle_timeout(Duration::from_secs(300))
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for text in dialect.on_connect(writes) {
                    connection.execute(*text).await?;
                }
                Ok(())
            })
        })
        .connect_with(options.disable_statement_logging())
        .await
        .map_err(Error::Unreachable)
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(number, name, text)| {
        Migration::new(number, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_this_machine_are_spoken_to_in_plain() {
        for url in [
            "postgres://postgres@127.0.0.1:5432/test",
            "postgres://u:p@localhost/test",
            "postgresql://localhost",
            "postgres://[::1]:5432/test",
            "postgres://[::1]/test",
        ] {
            assert_eq!(unencrypted(url), Some(format!("{url}?sslmode=disable")), "{url}");
        }
        let with = "postgres://127.0.0.1/t?options[search_path]=a";
        assert_eq!(unencrypted(with), Some(format!("{with}&sslmode=disable")));
        for url in [
            "postgres://127.0.0.1@db.example.com/test",
            "postgres://db.example.com/127.0.0.1",
            "postgres://localhost.example.com/test",
            "postgres://10.0.0.1:5432/test",
            "postgres://127.0.0.1/test?sslmode=require",
        ] {
            assert_eq!(unencrypted(url), None, "{url}");
        }
    }
}
