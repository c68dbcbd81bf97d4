//! `multipart/form-data` uploads, as browsers and scripts send them (T11): parts in any order, and the
//! closing delimiter may be missing.

use axum::body::Body as HttpBody;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use tramontane_connector::{Body, Error, Kind};
use tramontane_fill::Spool;

use crate::problem::{Answer, Problem};
use crate::query::latin;
use crate::state::App;
use crate::v1::upload::{Metadata, incoming};

/// The parts of a form, on their way.
pub struct Form {
    parts: Multipart<'static>,
    spool: Spool,
    metadata_limit: usize,
    file_limit: u64,
}

impl Form {
    /// Begins to read a form.
    ///
    /// # Errors
    /// `bad_request` without a boundary.
    pub fn read(app: &App, headers: &HeaderMap, body: HttpBody) -> Answer<Self> {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = multer::parse_boundary(media_type.unwrap_or_default());
        let boundary = boundary.map_err(|_| {
            Problem::bad_request("The Content-Type names no boundary of the form's parts.")
        })?;
        let pieces = incoming(app, body, None)?.into_stream();
        let file_limit = app.limits().upload_body.unwrap_or(u64::MAX);
        Ok(Self::of(pieces, boundary, app.spool().clone(), app.limits().json_body, file_limit))
    }

    /// The form in these pieces. Limits are in bytes.
    pub(crate) fn of(
        pieces: impl Stream<Item = tramontane_connector::Result<Bytes>> + Send + 'static,
        boundary: String,
        spool: Spool,
        metadata_limit: usize,
        file_limit: u64,
    ) -> Self {
        // Whatever is missing at the end is put there. After a closing delimiter it is not looked at.
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let pieces = pieces.chain(stream::iter([Ok(end)]));
        Self { parts: Multipart::new(pieces, boundary), spool, metadata_limit, file_limit }
    }

    /// The part named `file`.
    ///
    /// # Errors
    /// `bad_request` when there is none, or the form is malformed.
    pub async fn file(&mut self) -> Answer<Body> {
        loop {
            match self.parts.next_field().await {
                Ok(Some(part)) if part.name() == Some("file") => return Ok(content(part)),
                Ok(Some(_)) => {}
                Ok(None) => return Err(missing("file")),
                Err(error) => return Err(malformed(&error)),
            }
        }
    }

    /// The metadata and the content. Content that comes first waits on disk.
    ///
    /// # Errors
    /// `bad_request` when a part is missing or the form is malformed; what the metadata gives.
    pub async fn parts(&mut self) -> Answer<(Metadata, Body)> {
        let mut metadata = None;
        let mut waiting: Option<Body> = None;
        while metadata.is_none() || waiting.is_none() {
            let part = match self.parts.next_field().await {
                Ok(Some(part)) => part,
                Ok(None) => break,
                // What follows the parts that matter may be cut off.
                Err(_) if waiting.is_some() && metadata.is_some() => break,
                Err(error) => return Err(malformed(&error)),
            };
            match part.name() {
                Some("metadata") if metadata.is_none() => {
                    metadata = Some(Metadata::read(text(part, self.metadata_limit).await?)?);
                }
                Some("file") if waiting.is_none() => {
                    let content = content(part);
                    if let Some(metadata) = metadata.take() {
                        return Ok((metadata, content));
                    }
                    waiting = Some(self.spool.keep(content, self.file_limit).await?);
                }
                _ => {}
            }
        }
        let metadata = metadata.ok_or_else(|| missing("metadata"))?;
        Ok((metadata, waiting.ok_or_else(|| missing("file"))?))
    }
}

fn missing(name: &str) -> Problem {
    Problem::bad_request(format!("The form has no part named {name}.")).param(name)
}

fn malformed(error: &multer::Error) -> Problem {
    Problem::bad_request(format!("The form cannot be read: {error}."))
}

async fn text(mut part: Field<'static>, limit: usize) -> Answer<String> {
    let mut text = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(|error| malformed(&error))? {
        if text.len() + piece.len() > limit {
            return Err(Problem::new(
                tramontane_model::Code::RequestTooLarge,
                format!("The metadata is larger than {limit} bytes."),
            ));
        }
        text.extend_from_slice(&piece);
    }
    Ok(latin(text))
}

fn content(part: Field<'static>) -> Body {
    let pieces = part.map(|piece| {
        piece.map_err(|error| match error {
            multer::Error::StreamReadFailed(cause) => match cause.downcast::<Error>() {
                Ok(error) => *error,
                Err(_) => Error::new(Kind::Body, "The body broke off."),
            },
            error => Error::new(Kind::Body, format!("The form cannot be read: {error}.")),
        })
    });
    Body::new(pieces, None)
}
