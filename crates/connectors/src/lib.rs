//! The services that Tramontane speaks, a folder each. Imported by the binary and by tests alone.

pub mod boxcloud;
pub mod dropbox;
pub mod gdrive;
pub mod graph;
pub mod local;
pub mod s3;
pub mod sftp;
pub mod webdav;

use std::sync::Arc;

use tramontane_connector::{Bases, Connector, Result};

/// Every connector there is, at the services' own base URLs or at those that the operator set.
///
/// # Errors
/// A base URL that cannot be used.
pub fn all(bases: &Bases) -> Result<Vec<Arc<dyn Connector>>> {
    Ok(vec![
        Arc::new(boxcloud::BoxCloud::new(bases)?),
        Arc::new(dropbox::Dropbox::new(bases)?),
        Arc::new(gdrive::Gdrive::new(bases)?),
        Arc::new(graph::Graph::onedrive(bases)?),
        Arc::new(graph::Graph::onedrivebiz(bases)?),
        Arc::new(graph::Graph::sharepoint(bases)?),
        Arc::new(local::Local::default()),
        Arc::new(s3::S3::amazon()),
        Arc::new(s3::S3::compatible()),
        Arc::new(sftp::Sftp::default()),
        Arc::new(webdav::WebDav::default()),
    ])
}
