//! Every route on one screen, with what the OpenAPI document says of it.

use http::StatusCode;

use crate::openapi;
use crate::route::{Content, Routes, get};

/// All routes of the API.
#[must_use]
pub fn routes() -> Routes {
    Routes::default()
        .at(
            "/v1/openapi.json",
            [get("getOpenApi", openapi::serve)
                .says("This document.")
                .answers(StatusCode::OK, Content::Bytes(&["application/json"]))
                .public()],
        )
        .with(crate::manage::routes())
}
