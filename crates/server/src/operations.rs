//! What operators and their machines ask: `/healthz`, `/readyz`, `/metrics`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tramontane_store::{Db, Journal};

/// The longest that one check of `/readyz` may take.
const CHECK_TIME: Duration = Duration::from_secs(2);

/// What the checks look at.
#[derive(Clone)]
pub struct Operations {
    /// The database.
    pub db: Db,
    /// The side channel of request log and usage.
    pub journal: Journal,
    /// Where parts of uploads are kept.
    pub spool_dir: PathBuf,
    /// Renders the metrics.
    pub metrics: Arc<PrometheusHandle>,
    /// Cancelled when the server is stopping.
    pub stop: CancellationToken,
}

/// The routes. `/metrics` only when asked for.
pub fn router(operations: Operations, with_metrics: bool) -> Router {
    let router = Router::new().route("/healthz", get(health)).route("/readyz", get(ready));
    let router = if with_metrics { router.route("/metrics", get(metrics)) } else { router };
    router.with_state(operations)
}

async fn health() -> Response {
    answer(StatusCode::OK, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

async fn ready(State(operations): State<Operations>) -> Response {
    let mut checks = Map::new();
    let mut fine = true;
    let database = tokio::time::timeout(CHECK_TIME, operations.db.ping()).await;
    let database = match database {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("did not answer within 2 seconds".to_owned()),
    };
    let disk = writable(&operations.spool_dir).await;
    let draining = if operations.stop.is_cancelled() { Err("stopping".to_owned()) } else { Ok(()) };
    for (name, outcome) in [("database", database), ("disk", disk), ("draining", draining)] {
        let shown = match outcome {
            Ok(()) => json!({"ok": true}),
            Err(reason) => {
                fine = false;
                json!({"ok": false, "reason": reason})
            }
        };
        checks.insert(name.to_owned(), shown);
    }
    let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, json!({"ready": fine, "checks": Value::Object(checks)}))
}

/// Whether a file can be written in the folder.
///
/// # Errors
/// Why not, for people.
pub async fn writable(folder: &std::path::Path) -> Result<(), String> {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let written = tokio::fs::write(&probe, b"probe").await;
    let removed = tokio::fs::remove_file(&probe).await;
    written.and(removed).map_err(|error| format!("{} cannot be written: {error}", folder.display()))
}

async fn metrics(State(operations): State<Operations>) -> Response {
    let (db, journal) = (&operations.db, &operations.journal);
    metrics::counter!("tramontane_database_writes_total").absolute(db.writes());
    metrics::counter!("tramontane_journal_batches_total").absolute(journal.batches());
    metrics::counter!("tramontane_journal_dropped_total").absolute(journal.dropped());
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, operations.metrics.render()).into_response()
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
