//! Services behind OAuth, proven against the sandbox.

use std::sync::Arc;

use tramontane_connector::{Bases, Connector};
use tramontane_sandbox::{Config, Running, Sandbox};

use crate::services::prove_at_length;

/// Runs a simulated service and proves its connector, as Ana, with nothing of hers there yet.
pub(crate) async fn prove_sandboxed(
    service: &str,
    number: i64,
    connector: impl FnOnce(&Bases) -> Arc<dyn Connector>,
    slow: bool,
) {
    let running = sandbox().await;
    let mut bases = Bases::default();
    bases.set(service, running.base(service).unwrap());
    let grant = running.sandbox.grant(service, "ana").unwrap();
    let fields = [("access_token", grant.access_token.as_str())];
    prove_at_length(connector(&bases), number, &fields, None, slow).await;
}

/// A sandbox that listens on a free port.
pub(crate) async fn sandbox() -> Running {
    let config = Config { seed: 7, ..Config::default() };
    Sandbox::new(&config).start().await.unwrap()
}
