//! The hosted connect page (wire API, section 18.2): the chooser of services, the forms of those without
//! OAuth, the way to those with it, and the end.
//!
//! A page is good for one handshake in one browser ([`visit`]); everything else is told so ([`page`]).

pub(crate) mod assets;
pub(crate) mod browser;
pub(crate) mod chooser;
pub(crate) mod deliver;
pub(crate) mod form;
pub(crate) mod leave;
pub(crate) mod marks;
pub(crate) mod page;
pub(crate) mod theme;
mod trouble;
pub(crate) mod visit;
mod words;

pub use words::untranslated_field;

pub(crate) use page::{Frame, Tone};
pub(crate) use visit::Visit;
