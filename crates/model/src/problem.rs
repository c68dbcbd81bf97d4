//! The closed catalogue of API problems: every `error_code` with its HTTP status.
//!
//! Clients match on the code, so a code never changes its meaning. Source: the wire API, section 8.

use serde::Serialize;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $status:literal;)*) => {
        /// What went wrong, as the API says it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])* $name,)* }

        impl Code {
            /// Every code there is, for the documentation and for tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable `error_code` on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// The request is malformed, its body is not JSON, or an alias is unusable here.
    BadRequest = "bad_request", 400;
    /// A parameter or member has a wrong value.
    InvalidParameters = "invalid_parameters", 400;
    /// `parent_id` is malformed, absent, not a folder, or inside the folder being moved.
    InvalidParentFolder = "invalid_parent_folder", 400;
    /// The `type` given is not known for this endpoint.
    InvalidResourceType = "invalid_resource_type", 400;
    /// The service rejected the request for a reason with no better code.
    RequestFailed = "request_failed", 400;
    /// An idempotency key came again with another request.
    IdempotencyMismatch = "idempotency_mismatch", 400;
    /// A verification (of a webhook endpoint, say) failed.
    VerificationFailed = "verification_failed", 400;
    /// The account token is past its expiry.
    InvalidToken = "invalid_token", 401;
    /// OAuth client authentication failed.
    Unauthorized = "unauthorized", 401;
    /// A protected direct link was asked for without its password.
    AuthenticationRequired = "authentication_required", 401;
    /// The account's credential no longer works at the service.
    ServiceUnauthorized = "service_unauthorized", 401;
    /// The caller's credential is missing, unknown or has no power here.
    Forbidden = "forbidden", 403;
    /// This user may not do this to this object.
    PermissionDenied = "permission_denied", 403;
    /// The service said no.
    ServiceForbidden = "service_forbidden", 403;
    /// Deleting a non-empty folder without `recursive=true`.
    FolderNotEmpty = "folder_not_empty", 403;
    /// No such route, account, object or page.
    NotFound = "not_found", 404;
    /// The path exists, but not for this method.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The name is taken.
    NamingConflict = "naming_conflict", 409;
    /// The first request with this idempotency key is still running.
    IdempotencyInProgress = "idempotency_in_progress", 409;
    /// `If-Match` or another precondition no longer holds.
    PreconditionFailed = "precondition_failed", 412;
    /// The body is larger than this endpoint takes.
    RequestTooLarge = "request_too_large", 413;
    /// The range asked for lies outside the content.
    RangeNotSatisfiable = "range_not_satisfiable", 416;
    /// Tramontane's own limit.
    TooManyRequests = "too_many_requests", 429;
    /// The service's limit, after our own retries.
    TooManyServiceRequests = "too_many_service_requests", 429;
    /// Our fault.
    InternalError = "internal_error", 500;
    /// A link's target could not be read for an internal reason.
    LinkError = "link_error", 500;
    /// The service, or this account of it, cannot do this and it cannot be emulated.
    NotImplemented = "not_implemented", 501;
    /// The service answered nonsense or a 5xx.
    BadGateway = "bad_gateway", 502;
    /// The service is down.
    ServiceNotAvailable = "service_not_available", 503;
    /// The service did not answer in time.
    GatewayTimeout = "gateway_timeout", 504;
    /// The account's quota is full.
    InsufficientStorage = "insufficient_storage", 507;
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
