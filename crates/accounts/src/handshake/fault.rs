//! What an OAuth client is told when something is not as it should be (RFC 6749, sections 4.1.2.1,
//! 4.2.2.1 and 5.2; wire API, sections 18.4 and 18.9).

use crate::error::Error;

/// The codes of OAuth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// A parameter is missing, malformed or not allowed here.
    InvalidRequest,
    /// The client is unknown or its secret is wrong.
    InvalidClient,
    /// The code or refresh token is not good, or not for this client.
    InvalidGrant,
    /// Nothing can be connected under this scope.
    InvalidScope,
    /// This client may not ask in this way.
    UnauthorizedClient,
    /// No such `grant_type`.
    UnsupportedGrantType,
    /// No such `response_type`.
    UnsupportedResponseType,
    /// The user said no.
    AccessDenied,
    /// A page of this origin is not trusted with tokens (wire API, section 18.5).
    UntrustedOrigin,
    /// Our fault.
    ServerError,
    /// Too much at once; later it works.
    TemporarilyUnavailable,
}

impl FaultCode {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::AccessDenied => "access_denied",
            Self::UntrustedOrigin => "untrusted_origin",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

/// A code with words for the developer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The client's side, told to it.
    #[error("{description}")]
    Told {
        /// The code.
        code: FaultCode,
        /// One or two sentences that name the parameter and the rule. ASCII, no quotes or
        /// backslashes (RFC 6749, section 5.2).
        description: String,
    },
    /// Ours: the log has it.
    #[error(transparent)]
    Ours(#[from] Error),
}

impl Fault {
    /// A fault with this code.
    #[must_use]
    pub fn new(code: FaultCode, description: impl AsRef<str>) -> Self {
        let fits = |one: char| one == ' ' || (one.is_ascii_graphic() && one != '"' && one != '\\');
        let safe = |one: char| if fits(one) { one } else { '\'' };
        let description = description.as_ref().chars().take(500).map(safe).collect();
        Self::Told { code, description }
    }

    pub(crate) fn request(description: impl AsRef<str>) -> Self {
        Self::new(FaultCode::InvalidRequest, description)
    }

    pub(crate) fn grant(description: impl AsRef<str>) -> Self {
        Self::new(FaultCode::InvalidGrant, description)
    }
}

impl From<tramontane_store::Error> for Fault {
    fn from(error: tramontane_store::Error) -> Self {
        Self::Ours(error.into())
    }
}

impl From<tramontane_vault::Error> for Fault {
    fn from(error: tramontane_vault::Error) -> Self {
        Self::Ours(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_hold_only_what_the_standard_allows() {
        let fault = Fault::new(FaultCode::InvalidScope, "no \"é\\\n".repeat(200));
        let text = fault.to_string();
        assert!(text.len() <= 500);
        assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\'));
    }
}
