//! Uploads in parts: an upload session whose end is deferred. Source: "driveItem: createUploadSession",
//! "Completing a file": Business and SharePoint by an empty `POST` to the session, personal drives by a
//! `PUT` of the item with `@microsoft.graph.sourceUrl`.

use async_trait::async_trait;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tramontane_connector::storage::{UploadSession, UploadSessions, UploadedPart};
use tramontane_connector::{
    Body, Conflict, Cx, Entry, Error, Kind, Place, Repeat, Result, WriteOptions,
};
use tramontane_model::{NativeId, Op};
use url::Url;

use super::Flavour;
use super::api::Client;
use super::fault::fault;
use super::id::Id;
use super::names;
use super::storage::{GraphStorage, parent_of};
use super::write::{self, UNIT, behaviour};

/// What a part holds at least: 10 MiB.
const MIN_PART: u64 = 32 * UNIT;
/// Less than the 60 MiB that one request may carry.
const MAX_PART: u64 = 180 * UNIT;
const MAX_PARTS: u64 = 10_000;

#[derive(Debug, Serialize, Deserialize)]
struct State {
    url: String,
    parent: NativeId,
    name: String,
    total: u64,
    part_size: u64,
    replace: bool,
}

impl State {
    fn of(session: &UploadSession) -> Result<Self> {
        serde_json::from_str(&session.state)
            .map_err(|cause| Error::internal("The upload session cannot be read.").because(cause))
    }

    fn url(&self) -> Result<Url> {
        Url::parse(&self.url)
            .map_err(|cause| Error::internal("The upload session cannot be read.").because(cause))
    }

    fn conflict(&self) -> Conflict {
        if self.replace { Conflict::Replace } else { Conflict::Fail }
    }
}

fn part_size(total: u64) -> u64 {
    total.div_ceil(MAX_PARTS).next_multiple_of(UNIT).clamp(MIN_PART, MAX_PART)
}

#[async_trait]
impl UploadSessions for GraphStorage {
    async fn start(
        &self,
        cx: &Cx,
        at: &Place,
        size: Option<u64>,
        how: &WriteOptions,
    ) -> Result<UploadSession> {
        // "The total length of the file is known before you can upload the first fragment".
        let Some(total) = size.filter(|size| *size > 0) else {
            return Err(Error::declined(Op::MultipartCreate));
        };
        let (client, parent) = (self.api.at(cx), parent_of(at)?);
        names::check(&at.name)?;
        let item = write::properties(client, how.conflict, Some(&at.name), total, how.modified);
        let body = json!({"item": item, "deferCommit": true});
        let path = client.child_path(&parent, &at.name)?;
        let url = match write::begin(client, &path, &body, how.if_match.as_ref()).await {
            Ok(url) => url,
            Err(error) => return Err(client.explain(at, error).await),
        };
        let part_size = part_size(total);
        let state = State {
            url: url.into(),
            parent: at.parent.clone(),
            name: at.name.clone(),
            total,
            part_size,
            replace: how.conflict == Conflict::Replace,
        };
        let state = serde_json::to_string(&state).map_err(|cause| {
            Error::internal("The upload session cannot be kept.").because(cause)
        })?;
        // "The fragments of the file must be uploaded sequentially in order".
        Ok(UploadSession { state, part_size, parallel: false })
    }

    async fn put(
        &self,
        cx: &Cx,
        session: &UploadSession,
        number: u32,
        body: Body,
    ) -> Result<UploadedPart> {
        let state = State::of(session)?;
        let url = state.url()?;
        let Some(size) = body.len().filter(|size| *size > 0) else {
            return Err(Error::invalid("The length of a part must be known, and not be zero."));
        };
        let first = u64::from(number).checked_sub(1).and_then(|n| n.checked_mul(state.part_size));
        let first =
            first.filter(|first| first.checked_add(size).is_some_and(|end| end <= state.total));
        let Some(first) = first else {
            let text = format!("part {number} lies outside the {} bytes announced.", state.total);
            return Err(Error::invalid(text));
        };
        let done = UploadedPart { number, size, receipt: format!("{first}") };
        let request = write::fragment(&url, first, size, state.total).stream(body.checked());
        let error = match cx.send(request).await {
            Ok(answer) if answer.status.is_success() => return Ok(done),
            Ok(answer) => fault(answer).await,
            Err(error) => error,
        };
        let taken = matches!(error.kind, Kind::Range(_));
        match error.kind {
            Kind::NotFound => Err(unknown(error)),
            Kind::Body | Kind::Credential | Kind::Full | Kind::Guarded => Err(error),
            _ => match write::expected(cx, &url).await {
                // It came already, in this try or an earlier one.
                Ok(next) if next.is_none_or(|next| next >= first + size) => Ok(done),
                Ok(Some(next)) if taken && next < first => {
                    let before = next / state.part_size + 1;
                    let text = format!("part {before} must be sent before part {number}.");
                    Err(Error::invalid(text).because(error))
                }
                _ => Err(error),
            },
        }
    }

    async fn finish(
        &self,
        cx: &Cx,
        session: &UploadSession,
        parts: &[UploadedPart],
    ) -> Result<Entry> {
        let (client, state) = (self.api.at(cx), State::of(session)?);
        let sent: u64 = parts.iter().map(|part| part.size).sum();
        if sent != state.total {
            let text = format!("{sent} of the {} bytes announced were sent.", state.total);
            return Err(Error::invalid(text));
        }
        let at = Place::new(state.parent.clone(), state.name.clone());
        let parent = Id::parse(&state.parent)?;
        let request = if self.api.flavour == Flavour::Personal {
            let body = json!({
                "name": state.name,
                "@microsoft.graph.conflictBehavior": behaviour(state.conflict()),
                "@microsoft.graph.sourceUrl": state.url,
            });
            let path = client.child_path(&parent, &state.name)?;
            client.with("commit_upload", Method::PUT, path.trim_end_matches(':'), &body)?
        } else {
            Client::bare("commit_upload", Method::POST, state.url()?)
        };
        match client.json(request.repeat(Repeat::No)).await {
            Ok(value) => {
                let entry = client.entry(value).await?;
                if entry.size.is_some_and(|size| size != state.total) {
                    return Err(Error::new(Kind::Broken, "The parts do not add up to the file."));
                }
                Ok(entry)
            }
            Err(error) if error.is_not_found() => Err(unknown(error)),
            Err(error) => Err(client.explain(&at, error).await),
        }
    }

    async fn abort(&self, cx: &Cx, session: &UploadSession) -> Result<()> {
        let state = State::of(session)?;
        let answer = cx.send(Client::bare("cancel_upload", Method::DELETE, state.url()?)).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        match fault(answer).await {
            error if error.is_not_found() => Ok(()),
            error => Err(error),
        }
    }
}

fn unknown(error: Error) -> Error {
    Error::not_found("The upload is not known any more. Start it again.").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_multiples_of_the_unit_and_fit_into_a_request() {
        for total in [1, 11 << 20, 5 << 30, 250 << 30] {
            let size = part_size(total);
            assert!(
                size.is_multiple_of(UNIT) && size < 60 << 20 && total.div_ceil(size) <= MAX_PARTS,
                "{total}"
            );
        }
    }
}
