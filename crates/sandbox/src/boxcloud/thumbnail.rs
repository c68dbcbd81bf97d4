//! Preview pictures: of pictures only, after a while, with a placeholder before.
//!
//! <https://developer.box.com/reference/get-files-id-thumbnail-id/>

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::answer::{Answer, Fault, elsewhere};
use super::call::Call;
use super::node::Kind;

/// A grey picture of one pixel, as PNG: the sandbox draws nothing.
const PICTURE: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0,
    0, 0, 58, 126, 155, 85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 104, 0, 0, 0, 130, 0, 129,
    119, 205, 114, 182, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

impl Call<'_> {
    /// `GET /files/:id/thumbnail.png`.
    pub(super) fn thumbnail(&mut self, id: &str) -> Answer {
        let node = self.store.seen(self.me, Kind::File, id)?;
        if !self.store.powers(self.me, node.key).preview {
            return Err(Fault::forbidden());
        }
        for name in ["min_height", "min_width", "max_height", "max_width"] {
            let size = self.number(name)?;
            if size.is_some_and(|size| !(32..=320).contains(&size)) {
                return Err(Fault::invalid(name, "Sizes are from 32 to 320."));
            }
        }
        let placeholder = "https://cdn01.boxcdn.net/_assets/img/placeholder.png";
        let kind = mime_guess::from_path(&node.name).first_or_octet_stream();
        if kind.type_() != mime_guess::mime::IMAGE {
            // No thumbnail can be made of it: a picture of its type instead.
            return Ok(elsewhere(StatusCode::FOUND, Some(placeholder), None));
        }
        if self.store.quirks.thumbnails_later > 0 {
            self.store.quirks.thumbnails_later -= 1;
            return Ok(elsewhere(StatusCode::ACCEPTED, Some(placeholder), Some(1)));
        }
        let mut answer = Response::new(axum::body::Body::from(Bytes::from_static(PICTURE)));
        let kind = HeaderValue::from_static("image/png");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        Ok(answer)
    }
}
