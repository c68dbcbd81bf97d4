//! Handlers, one file per noun.
