//! What can go wrong in the database.

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL names no engine that is spoken here.
    #[error("the database URL must start with sqlite: or postgres://")]
    BadUrl,
    /// The engine does not answer, or refuses the login.
    #[error("the database cannot be reached; check that it runs and that DATABASE_URL is right")]
    Unreachable(#[source] sqlx::Error),
    /// Every connection is taken, or another process holds the write lock.
    #[error("the database is busy; try again")]
    Busy(#[source] sqlx::Error),
    /// The tables could not be brought to the form that this version needs.
    #[error("the database could not be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A value that must be unique is there already.
    #[error("a row with these unique values is there already")]
    Taken(#[source] sqlx::Error),
    /// A row that this one points to is not there (an application, an account, a data key).
    #[error("a row that this one refers to is gone")]
    Gone(#[source] sqlx::Error),
    /// A value cannot be stored, such as text with a NUL character.
    #[error("this value cannot be stored: {0}")]
    BadValue(&'static str),
    /// Everything else that the engine says.
    #[error("the database refused a statement")]
    Refused(#[source] sqlx::Error),
}

/// What a statement gives.
pub type Result<T> = std::result::Result<T, Error>;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) if refusal.is_unique_violation() => Self::Taken(error),
            sqlx::Error::Database(refusal) if refusal.is_foreign_key_violation() => {
                Self::Gone(error)
            }
            sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
                // SQLite: BUSY and its extended codes, LOCKED. PostgreSQL: serialization, deadlock.
                Some("5" | "261" | "517" | "6" | "262" | "40001" | "40P01") => Self::Busy(error),
                // PostgreSQL's answer to a NUL character in text.
                Some("22021") => Self::BadValue("text with a NUL character"),
                _ => Self::Refused(error),
            },
            sqlx::Error::PoolTimedOut => Self::Busy(error),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed => {
                Self::Unreachable(error)
            }
            _ => Self::Refused(error),
        }
    }
}

impl Error {
    /// Whether a unique value was there already.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Taken(_))
    }

    /// Whether a row that was referred to is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone(_))
    }
}
