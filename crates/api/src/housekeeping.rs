//! What time does to uploads that nobody finished: their parts and chunks are freed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tramontane_store::{drops, multipart};

use crate::call::Call;
use crate::kept::Kept;
use crate::problem::Answer;
use crate::public;
use crate::state::App;

const EVERY: Duration = Duration::from_secs(300);
/// How long one process may take to free a batch before another may try.
const BUSY_SECONDS: i64 = 600;
const BATCH: i64 = 100;
/// Kept content that no row names any more: older than any upload or task that waits for it.
const ORPHANED: Duration = Duration::from_secs(9 * 86_400);

/// Frees what has expired, every five minutes, until told to stop.
pub async fn run(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(problem) = once(&app).await {
            let cause = problem.cause().unwrap_or(&problem.message).to_owned();
            tracing::warn!(cause, "expired uploads could not be freed");
        }
    }
}

/// Frees what has expired now; gives how many uploads.
///
/// # Errors
/// Those of the database.
pub async fn once(app: &App) -> Answer<usize> {
    let mut freed = parts(app).await?;
    freed += chunks(app).await?;
    for folder in ["drops", "parts", "tasks"] {
        freed += Kept::new(app.spool().dir().join(folder)).sweep(ORPHANED).await;
    }
    Ok(freed)
}

async fn parts(app: &App) -> Answer<usize> {
    let now = app.now();
    let until = now.plus_seconds(BUSY_SECONDS).micros();
    let ended = multipart::claim_ended(app.db(), now.micros(), until, BATCH).await?;
    let mut freed = 0;
    for row in ended {
        let call = Call::new(String::new(), String::new(), std::net::Ipv4Addr::LOCALHOST.into());
        if row.state != multipart::SessionState::Done
            && let Some(account) = public::open(app, &call, row.account).await?
            && let (Ok(session), Ok(storage)) =
                (crate::multipart::opened(app, &row).await, account.storage())
            && let Err(error) = storage.abort_session(&account.cx(), &session).await
        {
            // The service forgets it by itself some day; we need not.
            tracing::info!(%error, session = row.id, "parts of an upload are left to the service");
        }
        multipart::delete(app.db(), row.id).await?;
        freed += 1;
    }
    Ok(freed)
}

async fn chunks(app: &App) -> Answer<usize> {
    let expired = drops::list_expired(app.db(), app.now().micros(), BATCH).await?;
    for row in &expired {
        public::drop::forget(app, &row.application, &row.id).await?;
    }
    Ok(expired.len())
}
