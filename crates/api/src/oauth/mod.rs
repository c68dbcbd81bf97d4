//! Our own OAuth 2.0 server (wire API, sections 18 and 52): where handshakes begin and where codes and
//! tokens are dealt with. The pages between are in `connect`.

pub(crate) mod authorize;
pub(crate) mod callback;
mod fault;
pub(crate) mod links;
pub(crate) mod metadata;
mod read;
pub(crate) mod token;
