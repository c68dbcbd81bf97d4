//! Sending again: one delivery at once, or a range of time as a task of its own; and trials.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tramontane_activity::delivery::{MessageKey, Outcome, Status};
use tramontane_store::accounts;
use tramontane_store::deliveries::{self, Replay};
use tramontane_store::webhooks::{self, Webhook};
use tramontane_vault::random_id;

use crate::deliver::attempts::Wanted;
use crate::deliver::endpoint::{Endpoint, Format, Target};
use crate::deliver::message::{Message, Signing};
use crate::deliver::send::Answered;
use crate::deliver::{Deliveries, Inner};
use crate::error::{Error, Result};

/// The most replays of a webhook that wait.
const MAX_PENDING: i64 = 10;
/// Events of one step, and messages of it at once.
const STEP: usize = 100;
const AT_ONCE: usize = 8;
/// How long whoever works on a replay may be silent, in microseconds.
const LEASE: i64 = 60_000_000;
/// Messages of a replay that fail in a row end it.
const HOPELESS: i64 = 20;
const LOOK: Duration = Duration::from_secs(15);

/// What is sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplayRequest {
    /// Events that were committed at or after this moment, in microseconds.
    pub since: i64,
    /// And before this one.
    pub until: i64,
    /// Of these accounts; empty: of all.
    pub accounts: Vec<i64>,
    /// Only what stands so.
    pub status: Option<Status>,
}

impl Deliveries {
    /// Sends a message again now, under the same id, and notes how it went. `None` when its events are
    /// not kept any more.
    ///
    /// # Errors
    /// Those of the database; [`Error::Accounts`] without a key to sign with.
    pub async fn replay(&self, row: &Webhook, key: MessageKey) -> Result<Option<Outcome>> {
        let endpoint = Endpoint::of(row);
        let Some(target) = Target::of(row, &endpoint) else { return Ok(None) };
        let signing = self.0.signing(&target).await?;
        self.0.again(row, &endpoint, &target, &signing, key).await
    }

    /// Asks for a replay; it is done in the background, by any node.
    ///
    /// # Errors
    /// [`Error::Invalid`] when too many wait already.
    pub async fn ask_replay(&self, row: &Webhook, request: &ReplayRequest) -> Result<Replay> {
        let of = &self.0;
        if deliveries::pending_replays(of.db(), &row.id).await? >= MAX_PENDING {
            let rule = format!("cannot be done: {MAX_PENDING} replays wait already");
            return Err(Error::Invalid { field: "since", rule });
        }
        let now = of.now();
        let replay = Replay {
            id: format!("rpl_{}", random_id(of.entropy.as_ref(), 12)),
            webhook: row.id.clone(),
            request: serde_json::to_value(request).unwrap_or_default(),
            state: "pending".into(),
            account: 0,
            sequence: 0,
            sent: 0,
            failed: 0,
            epoch: 0,
            leased_until: 0,
            created: now,
            modified: now,
        };
        deliveries::insert_replay(of.db(), &replay).await?;
        of.replays.notify_one();
        Ok(replay)
    }

    /// Sends a trial: for the compatible form the empty body of the registration check, else a ping.
    ///
    /// # Errors
    /// [`Error::Accounts`] without a key to sign with.
    pub async fn ping(&self, row: &Webhook) -> Result<Answered> {
        let target = Target::of(row, &Endpoint::of(row));
        let rule = || Error::Invalid { field: "url", rule: "must be a URL".into() };
        let target = target.ok_or_else(rule)?;
        let signing = self.0.signing(&target).await?;
        Ok(self.0.ping(&target, &signing).await)
    }

    /// As [`Deliveries::ping`], for a webhook that is not stored yet, signed by its secret to be.
    ///
    /// # Errors
    /// [`Error::Invalid`] for its URL; a vault error.
    pub async fn first_ping(
        &self,
        row: &Webhook,
        secret: &tramontane_store::webhook_secrets::WebhookSecret,
    ) -> Result<Answered> {
        let target = Target::of(row, &Endpoint::of(row));
        let rule = || Error::Invalid { field: "url", rule: "must be a URL".into() };
        let target = target.ok_or_else(rule)?;
        let secrets = self.0.directory.open_webhook_secrets(std::slice::from_ref(secret)).await?;
        Ok(self.0.ping(&target, &Signing::Secrets(Arc::new(secrets))).await)
    }

    /// Does replays until it is told to stop.
    pub(crate) async fn do_replays(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.0.waiting_replays(stop).await {
                tracing::warn!(%error, "replays of webhooks halt");
            }
            tokio::select! {
                () = self.0.replays.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

impl Inner {
    /// What signs for an endpoint.
    pub(crate) async fn signing(&self, target: &Target) -> Result<Signing> {
        Ok(match target.format {
            Format::Kloudless => {
                Signing::Key(self.directory.signing_key(&target.application).await?)
            }
            Format::Standard => {
                Signing::Secrets(Arc::new(self.directory.webhook_secrets(&target.id).await?))
            }
        })
    }

    async fn ping(&self, target: &Target, signing: &Signing) -> Answered {
        let id = format!("msg_{}", random_id(self.entropy.as_ref(), 12));
        let mut message = Message::ping(id, &target.id, &target.application, self.now());
        if target.format == Format::Kloudless {
            message.body = bytes::Bytes::new();
        }
        self.attempt(target, signing, &message).await
    }

    /// Sends one message again.
    async fn again(
        &self,
        row: &Webhook,
        endpoint: &Endpoint,
        target: &Target,
        signing: &Signing,
        key: MessageKey,
    ) -> Result<Option<Outcome>> {
        let Some(owner) = self.pages.owner(key.feed).await? else { return Ok(None) };
        if *owner.application != *row.application {
            return Ok(None);
        }
        let message = match endpoint.format {
            Format::Kloudless => Some(Message::notice(&row.id, &key, owner.account)),
            Format::Standard => {
                let most = usize::try_from(key.last - key.first).unwrap_or(0) + 1;
                let (mut events, _) =
                    self.pages.range(key.feed, key.first, key.last, most.min(1_000)).await?;
                let filter = endpoint.filter();
                events.retain(|one| filter.wants(&one.type_name, owner.account, &owner.service));
                let whole = events.first().is_some_and(|one| one.numbered.sequence == key.first)
                    && events.last().is_some_and(|one| one.numbered.sequence == key.last);
                let batch = endpoint.rules().batch > 1 || key.last > key.first;
                if whole { self.message(&row.id, &key, batch, &events).await? } else { None }
            }
        };
        let Some(message) = message else { return Ok(None) };
        let answered = self.attempt(target, signing, &message).await;
        let outcome = answered.outcome();
        let status = if outcome == Outcome::Taken { Status::Delivered } else { Status::Failed };
        let attempt = answered.attempt(key, owner.account, message.event_type, status, None);
        self.note(&row.id, std::slice::from_ref(&attempt)).await;
        Ok(Some(outcome))
    }

    async fn waiting_replays(&self, stop: &CancellationToken) -> Result<()> {
        for mut replay in deliveries::waiting_replays(self.db(), self.now(), 10).await? {
            let until = self.now() + LEASE;
            let Some(epoch) = deliveries::claim_replay(self.db(), &replay, until).await? else {
                continue;
            };
            replay.epoch = epoch;
            self.work(&mut replay, stop).await?;
        }
        Ok(())
    }

    /// Does one replay from where it is, step by step.
    async fn work(&self, replay: &mut Replay, stop: &CancellationToken) -> Result<()> {
        let Some(row) = webhooks::by_id(self.db(), &replay.webhook).await? else {
            replay.state = "failed".into();
            return self.note_replay(replay).await.map(|_| ());
        };
        let endpoint = Endpoint::of(&row);
        let (Some(target), Ok(request)) =
            (Target::of(&row, &endpoint), ReplayRequest::deserialize(&replay.request))
        else {
            replay.state = "failed".into();
            return self.note_replay(replay).await.map(|_| ());
        };
        let signing = self.signing(&target).await?;
        let mut row_of_failures = 0;
        while replay.state == "pending" && !stop.is_cancelled() {
            let keys = self.step(&row, &endpoint, &request, replay).await?;
            let (row, endpoint, target, signing) = (&row, &endpoint, &target, &signing);
            let mut sent = futures::stream::iter(keys)
                .map(|key| self.again(row, endpoint, target, signing, key))
                .buffered(if endpoint.ordered { 1 } else { AT_ONCE });
            while let Some(outcome) = sent.next().await {
                match outcome? {
                    Some(Outcome::Taken) => {
                        replay.sent += 1;
                        row_of_failures = 0;
                    }
                    Some(_) => {
                        replay.failed += 1;
                        row_of_failures += 1;
                    }
                    None => {}
                }
                if row_of_failures >= HOPELESS {
                    replay.state = "failed".into();
                    break;
                }
            }
            drop(sent);
            if !self.note_replay(replay).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn note_replay(&self, replay: &mut Replay) -> Result<bool> {
        replay.modified = self.now();
        replay.leased_until = if replay.state == "pending" { replay.modified + LEASE } else { 0 };
        Ok(deliveries::update_replay(self.db(), replay).await?)
    }

    /// The messages of the next step, and the place after them.
    async fn step(
        &self,
        row: &Webhook,
        endpoint: &Endpoint,
        request: &ReplayRequest,
        replay: &mut Replay,
    ) -> Result<Vec<MessageKey>> {
        if let Some(status) = request.status {
            return self.step_of_log(row, request, status, replay).await;
        }
        let Some((account, service)) = self.account_at(row, request, replay.account).await? else {
            replay.state = "done".into();
            return Ok(Vec::new());
        };
        if account != replay.account || replay.sequence == 0 {
            let start = match self.log.before(account, request.since).await {
                Ok(start) => start,
                Err(Error::Off) => {
                    (replay.account, replay.sequence) = (account + 1, 0);
                    return Ok(Vec::new());
                }
                Err(other) => return Err(other),
            };
            (replay.account, replay.sequence) = (account, start);
        }
        let page = self.log.page(account, replay.sequence, STEP).await?;
        let next = page.cursor;
        let end = page.events.is_empty() || page.events.iter().any(|one| one.at >= request.until);
        let filter = endpoint.filter();
        let wanted = page.events.iter().filter(|one| {
            one.at < request.until && filter.wants(&one.event.type_name(), account, &service)
        });
        let sequences: Vec<i64> = wanted.map(|one| one.sequence).collect();
        let keys = if endpoint.rules().coalesce {
            // One notice stands for all.
            let first = sequences.first().map(|first| MessageKey {
                feed: account,
                first: *first,
                last: *first,
            });
            (replay.account, replay.sequence) = (account + 1, 0);
            first.into_iter().collect()
        } else {
            let batch = endpoint.rules().batch;
            let key = |chunk: &[i64]| {
                let (first, last) = (*chunk.first()?, *chunk.last()?);
                Some(MessageKey { feed: account, first, last })
            };
            if end {
                (replay.account, replay.sequence) = (account + 1, 0);
            } else {
                replay.sequence = next;
            }
            sequences.chunks(batch).filter_map(key).collect()
        };
        Ok(keys)
    }

    /// What the log of attempts tells to stand so.
    async fn step_of_log(
        &self,
        row: &Webhook,
        request: &ReplayRequest,
        status: Status,
        replay: &mut Replay,
    ) -> Result<Vec<MessageKey>> {
        replay.state = "done".into();
        let wanted = Wanted {
            status: Some(status),
            since: Some(request.since),
            until: Some(request.until),
            account: None,
        };
        let accounts: BTreeSet<i64> = request.accounts.iter().copied().collect();
        let mut keys = Vec::new();
        for one in self.deliveries(&row.id, &wanted).await? {
            if accounts.is_empty() || accounts.contains(&one.account) {
                keys.push(one.key);
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// The first account of the replay from a number on, with its service.
    async fn account_at(
        &self,
        row: &Webhook,
        request: &ReplayRequest,
        from: i64,
    ) -> Result<Option<(i64, String)>> {
        let wanted: BTreeSet<i64> = request.accounts.iter().copied().collect();
        if wanted.is_empty() {
            return Ok(accounts::next_of(self.db(), &row.application, from).await?);
        }
        for account in wanted.range(from..) {
            if let Some(owner) = self.pages.owner(*account).await?
                && *owner.application == *row.application
            {
                return Ok(Some((*account, owner.service.to_string())));
            }
        }
        Ok(None)
    }
}
