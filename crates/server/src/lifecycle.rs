//! The end of a process: what asks for it, and how long things have to finish.

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by Ctrl-C or SIGTERM. A second signal ends the process at once.
///
/// # Errors
/// When signals cannot be listened to.
pub fn stop_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            #[cfg(unix)]
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            #[cfg(not(unix))]
            let _ = tokio::signal::ctrl_c().await;
            if told.is_cancelled() {
                tracing::warn!("asked to stop again: stopping at once");
                std::process::exit(130);
            }
            tracing::info!("stopping: what is under way may finish; ask again to stop at once");
            told.cancel();
        }
    });
    Ok(stop)
}
