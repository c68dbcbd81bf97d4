//! Traces to an OpenTelemetry collector, by OTLP over HTTP. Only with the feature `otlp`.

use anyhow::Context as _;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;
use tramontane_api::front::Traces;

/// Where the spans of requests and of calls to services come from.
const TARGET: &str = "tramontane::trace";

/// What sends traces to the collector at this base URL, in batches, off the request path.
///
/// # Errors
/// A URL that is none.
pub fn provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let fine = url::Url::parse(&url)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    anyhow::ensure!(fine, "Setting otlp_endpoint: \"{endpoint}\" must be an http or https URL.");
    // The exporter's client speaks TLS with this provider; whoever came first chose the same.
    tramontane_wire::install_tls();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(url)
        .build()
        .with_context(|| format!("Setting otlp_endpoint: {endpoint} cannot be used"))?;
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource =
        Resource::builder().with_service_name("tramontane").with_attribute(version).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The layer that turns spans into traces, and what goes wrong inside them into their events.
pub fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ours = filter_fn(|told| {
        let trouble = *told.level() <= Level::WARN && told.target().starts_with("tramontane");
        told.target() == TARGET || (told.is_event() && trouble)
    });
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("tramontane"))
        .with_filter(ours.with_max_level_hint(LevelFilter::INFO))
}

/// What requests need of this.
pub const LENT: Traces = Traces { join, rename };

fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Makes a span part of the trace that a caller told in W3C Trace Context, and gives the
/// `traceparent` of the span itself, for the services that it asks.
fn join(span: &Span, traceparent: Option<&str>) -> Option<String> {
    if let Some(parent) = traceparent.and_then(parse) {
        // A span that nobody exports has no place to keep a parent.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    let flags = own.trace_flags().to_u8();
    own.is_valid().then(|| format!("00-{}-{}-{flags:02x}", own.trace_id(), own.span_id()))
}

/// `version-trace-parent-flags`; the API has checked its form.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let parent = SpanId::from_hex(parts.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
    Some(SpanContext::new(trace, parent, flags, true, TraceState::default()))
}
