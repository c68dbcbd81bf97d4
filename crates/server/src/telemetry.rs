//! Logs, metrics and traces of the process.

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use tramontane_api::front::Traces;

use crate::settings::Settings;

/// Seconds, from a tenth of a millisecond to a minute: what request durations are counted in.
const DURATION_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

/// What must live as long as the process logs.
pub struct Telemetry {
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    #[cfg(feature = "otlp")]
    traces: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Telemetry {
    /// Starts logging and counting as the settings say.
    ///
    /// # Errors
    /// A filter that cannot be read, or an exporter that cannot be made.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let filter = EnvFilter::try_new(&settings.log)
            .with_context(|| format!("Setting log: \"{}\" is no filter", settings.log))?;
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
        let lines = match settings.log_format.as_str() {
            "json" => lines.json().flatten_event(true).boxed(),
            _ => lines.with_target(false).boxed(),
        };
        // Spans are for traces alone; without an exporter nobody asks for them and they cost nothing.
        let lines = lines.with_filter(filter.and(filter_fn(|told| !told.is_span())));
        let registry = tracing_subscriber::registry().with(lines);
        #[cfg(feature = "otlp")]
        let traces = settings.otlp_endpoint.as_deref().map(crate::tracing_export::provider);
        #[cfg(feature = "otlp")]
        let traces = traces.transpose()?;
        #[cfg(feature = "otlp")]
        let registry = registry.with(traces.as_ref().map(crate::tracing_export::layer));
        #[cfg(not(feature = "otlp"))]
        if settings.otlp_endpoint.is_some() {
            anyhow::bail!(
                "Setting otlp_endpoint needs a binary built with `--features otlp`; this one is not."
            );
        }
        registry.try_init().context("logging was started twice")?;
        let metrics = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), DURATION_BUCKETS)?
            .install_recorder()
            .context("metrics were started twice")?;
        Ok(Self {
            metrics,
            #[cfg(feature = "otlp")]
            traces,
        })
    }

    /// How requests join their callers' traces; none when no traces are sent.
    #[must_use]
    pub fn lent(&self) -> Option<Traces> {
        #[cfg(feature = "otlp")]
        return self.traces.as_ref().map(|_| crate::tracing_export::LENT);
        #[cfg(not(feature = "otlp"))]
        None
    }

    /// Sends what is left of the traces.
    pub fn finish(&self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}
