//! The services that Tramontane speaks, a folder each. Imported by the binary and by tests alone.

pub mod local;
pub mod s3;
pub mod sftp;
pub mod webdav;

use std::sync::Arc;

use tramontane_connector::Connector;

/// Every connector there is.
#[must_use]
pub fn all() -> Vec<Arc<dyn Connector>> {
    vec![
        Arc::new(local::Local::default()),
        Arc::new(s3::S3::amazon()),
        Arc::new(s3::S3::compatible()),
        Arc::new(sftp::Sftp::default()),
        Arc::new(webdav::WebDav::default()),
    ]
}
