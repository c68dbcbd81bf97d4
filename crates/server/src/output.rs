//! What commands print: one JSON document for scripts, or lines for people.

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

impl Output {
    /// Prints one result: the JSON of `value`, or the lines that `text` makes.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let shown = match self {
            Self::Json => serde_json::to_string_pretty(value)?,
            Self::Text => text(value),
        };
        match writeln!(std::io::stdout(), "{}", shown.trim_end()) {
            // Whoever reads has seen enough (`| head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// Prints an error on standard error, in the same form.
    pub fn error(self, error: &anyhow::Error) {
        let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        causes.dedup();
        causes.remove(0);
        let shown = match self {
            Self::Json => {
                serde_json::json!({"error": error.to_string(), "causes": causes}).to_string()
            }
            Self::Text => {
                let mut lines = format!("error: {error}");
                for cause in causes {
                    lines.push_str("\n  because: ");
                    lines.push_str(&cause);
                }
                lines
            }
        };
        // Nothing is left to tell when standard error is closed too.
        let _ = writeln!(std::io::stderr(), "{shown}");
    }
}

/// Columns for people, as wide as their widest cell.
#[must_use]
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heads.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// A JSON object's members as lines, for people.
#[must_use]
pub fn members(value: &Value) -> String {
    let Some(object) = value.as_object() else { return value.to_string() };
    let rows = object.iter().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}: {text}")
    });
    rows.collect::<Vec<_>>().join("\n")
}
