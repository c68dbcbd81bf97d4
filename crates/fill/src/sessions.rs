//! Gap: uploads in parts, spooled and composed in the end. The session itself remembers where it goes
//! and under which policy, so that it survives a restart.

use serde::{Deserialize, Serialize};
use tramontane_connector::storage::{UploadSession, UploadedPart};
use tramontane_connector::{
    Body, Conflict, Cx, ETag, Entry, Error, Kind, Place, Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Timestamp};

use crate::filled::Filled;
use crate::names::FreeNames;
use crate::policy::{Placed, Policy};

/// The size of spooled parts, when 10,000 of them hold the whole.
const PART: u64 = 8 << 20;
/// The most parts of one upload.
const PARTS: u64 = 10_000;

/// What is behind a session.
#[derive(Debug, Serialize, Deserialize)]
enum Held {
    /// The service's own session.
    #[serde(rename = "native")]
    Native(String),
    /// Parts in the spool.
    #[serde(rename = "spooled")]
    Spooled(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    held: Held,
    parent: NativeId,
    name: String,
    policy: Policy,
    if_match: Option<(String, bool)>,
    modified: Option<i64>,
}

impl State {
    fn read(session: &UploadSession) -> Result<Self> {
        serde_json::from_str(&session.state)
            .map_err(|cause| Error::not_found("There is no such upload.").because(cause))
    }

    fn place(&self) -> Place {
        Place::new(self.parent.clone(), self.name.clone())
    }

    fn options(&self) -> WriteOptions {
        let etag = self.if_match.clone();
        WriteOptions {
            conflict: conflict(self.policy),
            if_match: etag.map(|(value, weak)| ETag { value, weak }),
            modified: self.modified.map(Timestamp::from_micros),
        }
    }
}

fn conflict(policy: Policy) -> Conflict {
    match policy {
        Policy::Replace => Conflict::Replace,
        Policy::Fail | Policy::KeepBoth => Conflict::Fail,
    }
}

pub(crate) async fn start(
    storage: &Filled,
    cx: &Cx,
    at: &Place,
    size: Option<u64>,
    policy: Policy,
    how: &WriteOptions,
) -> Result<UploadSession> {
    tramontane_connector::place::check_name(&at.name)?;
    let abilities = storage.abilities(&cx.account);
    if let (Some(size), Some(limit)) = (size, abilities.limits.max_file_bytes)
        && size > limit
    {
        let text = format!("The service takes files of at most {limit} bytes; this has {size}.");
        return Err(Error::new(Kind::TooLarge, text));
    }
    // A name that must be free is chosen now, so that the service's session can have it.
    let place = match policy {
        Policy::KeepBoth => FreeNames::new(storage, cx, at, false, None)?.next().await?.0,
        Policy::Fail | Policy::Replace => {
            let there = storage.child(cx, at).await?;
            let replaces = there.as_ref().is_none_or(|there| !there.is_folder());
            if let Some(there) = there.filter(|_| policy == Policy::Fail || !replaces) {
                return Err(Error::conflict(&at.name, Some(there.reference())));
            }
            at.clone()
        }
    };
    let mut state = State {
        held: Held::Native(String::new()),
        parent: place.parent.clone(),
        name: place.name.clone(),
        policy,
        if_match: how.if_match.clone().map(|etag| (etag.value, etag.weak)),
        modified: how.modified.map(Timestamp::micros),
    };
    let native = storage.native().sessions().filter(|_| abilities.native.has(Op::MultipartCreate));
    if let Some(native) = native {
        match native.start(cx, &place, size, &state.options()).await {
            Ok(session) => {
                state.held = Held::Native(session.state);
                return session_of(&state, session.part_size, session.parallel);
            }
            Err(error) if error.is_declined() => {}
            Err(error) => return Err(error),
        }
    }
    state.held = Held::Spooled(storage.spool().begin().await?);
    // The name that was asked for: at the end the smallest free one is taken.
    state.name.clone_from(&at.name);
    let part = size.unwrap_or(0).div_ceil(PARTS).next_multiple_of(1 << 20).max(PART);
    session_of(&state, part, true)
}

fn session_of(state: &State, part_size: u64, parallel: bool) -> Result<UploadSession> {
    let state = serde_json::to_string(state)
        .map_err(|cause| Error::internal("The upload cannot be written down.").because(cause))?;
    Ok(UploadSession { state, part_size, parallel })
}

fn inner(session: &UploadSession, state: &str) -> UploadSession {
    UploadSession { state: state.to_owned(), ..session.clone() }
}

fn native(storage: &Filled) -> Result<&dyn tramontane_connector::storage::UploadSessions> {
    storage.native().sessions().ok_or_else(|| Error::not_found("There is no such upload."))
}

pub(crate) async fn put(
    storage: &Filled,
    cx: &Cx,
    session: &UploadSession,
    number: u32,
    body: Body,
) -> Result<UploadedPart> {
    match State::read(session)?.held {
        Held::Native(state) => {
            native(storage)?.put(cx, &inner(session, &state), number, body.checked()).await
        }
        Held::Spooled(id) => {
            let kept = storage.spool().put(&id, number, body, session.part_size).await?;
            Ok(UploadedPart { number, size: kept.size, receipt: kept.sha256 })
        }
    }
}

pub(crate) async fn finish(
    storage: &Filled,
    cx: &Cx,
    session: &UploadSession,
    parts: &[UploadedPart],
) -> Result<Placed> {
    let state = State::read(session)?;
    for (expected, part) in (1..).zip(parts) {
        if part.number != expected {
            return Err(Error::invalid(format!("Part {expected} is missing.")));
        }
    }
    let (place, how) = (state.place(), state.options());
    match &state.held {
        Held::Native(native_state) => {
            let conditional = storage.abilities(&cx.account).native.has(Op::FileConditional);
            let _claim = match state.policy {
                Policy::Replace => None,
                _ if conditional => None,
                _ => Some(storage.claims().wait(cx, &place).await?),
            };
            let there = storage.child(cx, &place).await?;
            if state.policy != Policy::Replace
                && let Some(there) = &there
            {
                return Err(Error::conflict(&place.name, Some(there.reference())));
            }
            let session = inner(session, native_state);
            let entry = native(storage)?.finish(cx, &session, parts).await?;
            Ok(Placed { entry, created: there.is_none(), skipped: Vec::new() })
        }
        Held::Spooled(id) => {
            let sizes: Vec<(u32, u64)> =
                parts.iter().map(|part| (part.number, part.size)).collect();
            let body = storage.spool().compose(id, &sizes).await?;
            let placed = storage.upload(cx, &place, body, state.policy, &how).await?;
            storage.spool().discard(id).await?;
            Ok(placed)
        }
    }
}

pub(crate) async fn abort(storage: &Filled, cx: &Cx, session: &UploadSession) -> Result<()> {
    match State::read(session)?.held {
        Held::Native(state) => match native(storage)?.abort(cx, &inner(session, &state)).await {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        },
        Held::Spooled(id) => storage.spool().discard(&id).await,
    }
}

/// The contract's own form of a session: what is there is refused or replaced.
#[async_trait::async_trait]
impl tramontane_connector::storage::UploadSessions for Filled {
    async fn start(
        &self,
        cx: &Cx,
        at: &Place,
        size: Option<u64>,
        how: &WriteOptions,
    ) -> Result<UploadSession> {
        let policy = match how.conflict {
            Conflict::Fail => Policy::Fail,
            Conflict::Replace => Policy::Replace,
        };
        start(self, cx, at, size, policy, how).await
    }

    async fn put(
        &self,
        cx: &Cx,
        session: &UploadSession,
        number: u32,
        body: Body,
    ) -> Result<UploadedPart> {
        put(self, cx, session, number, body).await
    }

    async fn finish(
        &self,
        cx: &Cx,
        session: &UploadSession,
        parts: &[UploadedPart],
    ) -> Result<Entry> {
        Ok(finish(self, cx, session, parts).await?.entry)
    }

    async fn abort(&self, cx: &Cx, session: &UploadSession) -> Result<()> {
        abort(self, cx, session).await
    }
}
