//! What a request tells of its account's credential: written down only when it changes.

use tramontane_accounts::CredentialState;
use tramontane_model::Code;

use crate::call::Call;
use crate::state::App;

/// Notes that the service refused the credential, or takes it again. Out of the way of the request.
pub(crate) fn note(app: &App, call: &Call, code: Option<Code>) {
    let Some(opened) = call.opened().filter(|_| call.asked_service()) else { return };
    let (state, reason) = match (code, opened.row.credential_state) {
        (Some(Code::ServiceUnauthorized), CredentialState::Ok) => {
            (CredentialState::Failing, Some("unknown"))
        }
        (None, CredentialState::Failing) => (CredentialState::Ok, None),
        _ => return,
    };
    let (directory, opened) = (app.directory().clone(), opened.clone());
    tokio::spawn(async move {
        let noted = directory.report_credential(&opened, state, reason).await;
        if let Err(error) = noted {
            tracing::warn!(%error, account = %opened.id(), "the credential's state was not noted");
        }
    });
}
