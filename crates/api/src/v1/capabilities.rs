//! `GET /v1/accounts/{account}/capabilities` (wire API, section 51).

use serde_json::json;

use crate::account::Account;
use crate::answer::ok;
use crate::capabilities::operations;
use crate::problem::Answer;

/// Every operation with how it is supported.
///
/// # Errors
/// None beyond those of the account.
pub async fn retrieve(account: Account) -> Answer {
    let operations = operations(account.abilities().as_ref());
    ok(&json!({"api": "core", "type": "capabilities", "capabilities": operations}))
}
