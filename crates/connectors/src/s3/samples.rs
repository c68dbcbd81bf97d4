//! What the unit tests of this connector share.
#![expect(clippy::unwrap_used, reason = "tests")]

use tramontane_connector::{Account, Credential};
use tramontane_model::AccountId;

/// An account with these settings and the key pair of AWS's own examples.
pub(super) fn account(service: &str, settings: &[(&str, &str)]) -> Account {
    let pairs = settings.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned()));
    Account {
        id: AccountId::new(1).unwrap(),
        service: service.into(),
        admin: false,
        settings: pairs.collect(),
        credential: Credential::from_iter([
            ("access_key", "AKIAIOSFODNN7EXAMPLE"),
            ("secret_key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ]),
        revision: 0,
    }
}
