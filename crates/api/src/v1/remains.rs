//! What a deleted account leaves outside the database: uploads in parts at the service and on disk.

use tramontane_accounts::Remains;

use crate::account::Account;

/// Gives up what an account has begun, out of the way of the request. What fails is left to the
/// service's own expiry and to the sweeping of the spool.
pub(crate) fn sweep(account: &Account, remains: Remains) {
    if remains.sessions.is_empty() {
        return;
    }
    let account = account.clone();
    tokio::spawn(async move {
        let Ok(storage) = account.storage() else { return };
        let keys = account.app().keys();
        for (id, native) in remains.sessions {
            let Some(text) = native else { continue };
            let state = crate::multipart::stored(keys, id, &text).await;
            let Some(session) = state else { continue };
            if let Err(error) = storage.abort_session(&account.cx(), &session).await {
                tracing::info!(%error, session = id, "an upload was left to expire");
            }
        }
    });
}
