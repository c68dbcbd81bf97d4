//! What a deleted account leaves outside the database: uploads in parts at the service and on disk.

use tramontane_accounts::Remains;
use tramontane_connector::storage::UploadSession;

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
            let state = crate::v1::remains::session(keys, id, &text).await;
            let Some(session) = state else { continue };
            if let Err(error) = storage.abort_session(&account.cx(), &session).await {
                tracing::info!(%error, session = id, "an upload was left to expire");
            }
        }
    });
}

/// The session that a stored row names.
async fn session(_keys: &tramontane_accounts::Keys, _id: i64, text: &str) -> Option<UploadSession> {
    serde_json::from_str(text).ok()
}
