//! The JSON that requests carry, for the OpenAPI document. Handlers read them leniently (`json.rs`).
