//! Errors of the token endpoint and its kin, with both vocabularies (wire API, section 18.9).

use http::header::{PRAGMA, WWW_AUTHENTICATE};
use serde_json::json;
use tramontane_accounts::handshake::{Fault, FaultCode};
use tramontane_model::Code;

use crate::problem::Problem;

/// A fault as an answer.
pub(crate) fn problem(fault: Fault) -> Problem {
    let (code, description) = match fault {
        Fault::Told { code, description } => (code, description),
        Fault::Ours(error) => {
            let problem = Problem::from(error);
            // What a caller did wrong keeps its own code; the rest is ours.
            return problem
                .with_member("error", json!("server_error"))
                .with_member("error_description", json!("Something failed on our side."));
        }
    };
    let kind = match code {
        FaultCode::InvalidClient => Code::Unauthorized,
        FaultCode::TemporarilyUnavailable => Code::TooManyRequests,
        _ => Code::BadRequest,
    };
    let problem = Problem::new(kind, description.clone())
        .with_member("error", json!(code.as_str()))
        .with_member("error_description", json!(description))
        .header(PRAGMA, "no-cache");
    match code {
        FaultCode::InvalidClient => problem.header(WWW_AUTHENTICATE, "Basic realm=\"tramontane\""),
        _ => problem,
    }
}
