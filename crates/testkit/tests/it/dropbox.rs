//! Dropbox, proven against the simulated service.

use std::sync::Arc;

use tramontane_connectors::dropbox::Dropbox;

use crate::sandboxed::prove_sandboxed;

#[tokio::test(flavor = "multi_thread")]
async fn dropbox_behaves() {
    let connector = |bases: &tramontane_connector::Bases| {
        Arc::new(Dropbox::new(bases).unwrap()) as Arc<dyn tramontane_connector::Connector>
    };
    prove_sandboxed("dropbox", 31, connector, false).await;
}
