//! Handlers, one file per noun.

pub mod accounts;
pub(crate) mod batch;
pub mod capabilities;
pub mod conflict;
pub mod download;
pub mod files;
pub mod folders;
pub mod later;
pub mod moves;
pub mod multipart_form;
pub mod permissions;
pub mod properties;
pub mod raw;
pub mod recent;
pub(crate) mod remains;
pub mod search;
pub mod services;
pub mod target;
pub(crate) mod tasks;
pub mod team;
pub mod thumbnail;
pub(crate) mod tokens;
pub mod trash;
pub mod upload;
pub mod versions;
