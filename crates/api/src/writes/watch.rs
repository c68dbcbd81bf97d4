//! Long work of a task, told to the task.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http_body::{Frame, SizeHint};
use serde_json::json;
use tramontane_connector::Body;
use tramontane_fill::{Item, Progress};
use tramontane_tasks::{ItemStatus, Work};

use crate::problem::{Problem, code_of};

/// Listens to work for its task.
pub(crate) struct Watching(pub(crate) Arc<Work>);

impl Progress for Watching {
    fn item(&self, item: &Item<'_>) {
        let (status, id, error) = match item.outcome {
            Ok(entry) => (ItemStatus::Done, Some(entry.reference().resource().to_string()), None),
            Err(error) => {
                let code = code_of(&error.kind);
                let status = match code {
                    tramontane_model::Code::PermissionDenied => ItemStatus::Skipped,
                    _ => ItemStatus::Failed,
                };
                let problem = Problem::new(code, error.message.clone());
                (status, None, Some(problem.body(self.0.id())))
            }
        };
        self.0.report(tramontane_tasks::Item {
            number: 0,
            key: item.what.resource().to_string(),
            name: item.name.to_owned(),
            status,
            id,
            error,
        });
    }

    fn bytes(&self, count: u64) {
        self.0.progress().add_bytes(count);
    }

    fn cancelled(&self) -> bool {
        self.0.stopped()
    }
}

/// Kept content as the body of a request, its length told, its bytes counted for the task.
pub(crate) struct Counting {
    pieces: BoxStream<'static, tramontane_connector::Result<Bytes>>,
    left: u64,
    work: Arc<Work>,
}

impl Counting {
    pub(crate) fn new(body: Body, size: u64, work: Arc<Work>) -> Self {
        work.progress().set_bytes_total(size);
        Self { pieces: body.into_stream(), left: size, work }
    }
}

impl http_body::Body for Counting {
    type Data = Bytes;
    type Error = tramontane_connector::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = self.pieces.poll_next_unpin(cx);
        polled.map(|piece| {
            piece.map(|piece| {
                let piece = piece?;
                let length = piece.len() as u64;
                self.left = self.left.saturating_sub(length);
                self.work.progress().add_bytes(length);
                Ok(Frame::data(piece))
            })
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The body of a problem as a task keeps it.
pub(crate) fn outcome(problem: &Problem, request_id: &str) -> tramontane_tasks::Outcome {
    let body = problem.body(request_id);
    tramontane_tasks::Outcome { status: problem.status().as_u16(), body: Some(json!(body)) }
}
