//! From rows to structs: a column list and a reader, written once per table.

use serde_json::Value;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{Any, AssertSqlSafe, FromRow, Row as _};

/// A struct that a row becomes.
pub(crate) trait Record: for<'r> FromRow<'r, AnyRow> {
    /// The columns it is read from, comma-separated.
    const COLUMNS: &'static str;
}

/// A value that a column becomes.
pub(crate) trait Column: Sized {
    fn read(row: &AnyRow, name: &str) -> sqlx::Result<Self>;
}

macro_rules! plain_columns {
    ($($kind:ty),*) => {$(
        impl Column for $kind {
            fn read(row: &AnyRow, name: &str) -> sqlx::Result<Self> {
                row.try_get(name)
            }
        }
    )*};
}
plain_columns!(i64, Option<i64>, String, Option<String>, Vec<u8>, Option<Vec<u8>>);

impl Column for bool {
    fn read(row: &AnyRow, name: &str) -> sqlx::Result<Self> {
        Ok(row.try_get::<i64, _>(name)? != 0)
    }
}

impl Column for Value {
    fn read(row: &AnyRow, name: &str) -> sqlx::Result<Self> {
        parse(&row.try_get::<String, _>(name)?, name)
    }
}

impl Column for Option<Value> {
    fn read(row: &AnyRow, name: &str) -> sqlx::Result<Self> {
        row.try_get::<Option<String>, _>(name)?.map(|text| parse(&text, name)).transpose()
    }
}

fn parse(text: &str, name: &str) -> sqlx::Result<Value> {
    serde_json::from_str(text).map_err(|source| sqlx::Error::ColumnDecode {
        index: name.to_owned(),
        source: Box::new(source),
    })
}

/// Refuses a word that is not one of an enum's.
pub(crate) fn unknown_word<T>(word: &str, name: &str) -> sqlx::Result<T> {
    Err(sqlx::Error::ColumnDecode {
        index: name.to_owned(),
        source: format!("{word:?} is not a known word").into(),
    })
}

/// Defines a row struct, with its column list and its reader, from its fields.
macro_rules! record {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $($(#[$field_about:meta])* pub $field:ident: $kind:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $kind,)*
        }

        impl $crate::record::Record for $name {
            const COLUMNS: &'static str = $crate::record::trim(concat!($(", ", stringify!($field)),*));
        }

        impl<'r> sqlx::FromRow<'r, sqlx::any::AnyRow> for $name {
            fn from_row(row: &'r sqlx::any::AnyRow) -> sqlx::Result<Self> {
                Ok(Self {
                    $($field: $crate::record::Column::read(row, stringify!($field))?,)*
                })
            }
        }
    };
}
pub(crate) use record;

/// Defines an enum that a TEXT column holds, with the word of each variant.
macro_rules! words {
    (
        $(#[$about:meta])*
        pub enum $name:ident { $($(#[$variant_about:meta])* $variant:ident = $word:literal,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_about])* $variant,)* }

        impl $name {
            /// The word in the database and on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads the word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl $crate::record::Column for $name {
            fn read(row: &sqlx::any::AnyRow, name: &str) -> sqlx::Result<Self> {
                let word: String = sqlx::Row::try_get(row, name)?;
                Self::parse(&word).map_or_else(|| $crate::record::unknown_word(&word, name), Ok)
            }
        }
    };
}
pub(crate) use words;

/// Cuts the leading `", "` of a joined column list.
pub(crate) const fn trim(joined: &str) -> &str {
    joined.split_at(2).1
}

/// Selects rows of one table; the text starts with `FROM`.
pub(crate) fn select<T: Record>(tail: &'static str) -> QueryAs<'static, Any, T, AnyArguments> {
    select_text(tail)
}

/// As [`select`], for a text that holds a fragment of [`crate::dialect`]. Never give it outside input.
pub(crate) fn select_text<T: Record>(tail: &str) -> QueryAs<'static, Any, T, AnyArguments> {
    sqlx::query_as(AssertSqlSafe(format!("SELECT {} {tail}", T::COLUMNS)))
}

/// Any other statement.
pub(crate) fn statement(text: &'static str) -> Query<'static, Any, AnyArguments> {
    sqlx::query(text)
}

/// As [`statement`], for a text that holds a fragment of [`crate::dialect`].
pub(crate) fn statement_text(text: String) -> Query<'static, Any, AnyArguments> {
    sqlx::query(AssertSqlSafe(text))
}

/// 0 or 1, as booleans are stored.
pub(crate) fn flag(value: bool) -> i64 {
    i64::from(value)
}

/// JSON, as it is stored.
pub(crate) fn json(value: &Value) -> String {
    value.to_string()
}

/// A part of a list that is read by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Rows to skip.
    pub offset: i64,
    /// Rows to give at most.
    pub limit: i64,
}

impl Slice {
    /// The first `limit` rows.
    #[must_use]
    pub fn first(limit: i64) -> Self {
        Self { offset: 0, limit }
    }

    /// Everything.
    pub const ALL: Self = Self { offset: 0, limit: i64::MAX };
}
