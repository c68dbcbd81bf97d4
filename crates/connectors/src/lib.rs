//! The services that Tramontane speaks, a folder each. Imported by the binary and by tests alone.

pub mod local;
pub mod sftp;
pub mod webdav;

use std::sync::Arc;

use tramontane_connector::Connector;

/// Every connector there is.
#[must_use]
pub fn all() -> Vec<Arc<dyn Connector>> {
    vec![
        Arc::new(local::Local::default()),
        Arc::new(sftp::Sftp::default()),
        Arc::new(webdav::WebDav::default()),
    ]
}
