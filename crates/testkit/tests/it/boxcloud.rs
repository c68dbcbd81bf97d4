//! Box, proven against the sandbox.

use std::sync::Arc;

use tramontane_connectors::boxcloud::BoxCloud;

use crate::sandboxed::prove_sandboxed;

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_box_behaves() {
    prove_sandboxed("box", 21, |bases| Arc::new(BoxCloud::new(bases).unwrap()), false).await;
}
