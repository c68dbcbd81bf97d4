//! The behaviour suite over every connector: in memory, on disk, and against real servers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod boxcloud;
mod dropbox;
mod dropbox_faults;
mod dropbox_shared;
mod faults;
mod feeds;
mod gdrive;
mod gdrive_faults;
mod gdrive_scenes;
mod graph;
mod links;
mod nextcloud;
mod pushes;
mod s3;
mod sandboxed;
mod services;
