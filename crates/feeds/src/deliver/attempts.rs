//! The log of attempts, and deliveries as it tells of them.

use std::collections::BTreeMap;

use tramontane_activity::delivery::attempt::{decode, encode};
use tramontane_activity::delivery::{Attempt, Checkpoint, MessageKey, Status};
use tramontane_store::deliveries::{self, Batch};
use tramontane_store::webhooks::Webhook;

use crate::deliver::endpoint::Endpoint;
use crate::deliver::message::{BATCH, NOTICE};
use crate::deliver::{Deliveries, Format, Inner};
use crate::error::Result;

/// The most attempts that one question looks at: the newest in its time.
pub(crate) const MAX_LOOKED_AT: i64 = 20_000;

/// Which deliveries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// How they stand.
    pub status: Option<Status>,
    /// Of which account.
    pub account: Option<i64>,
    /// Tried at or after this moment, in microseconds.
    pub since: Option<i64>,
    /// Tried at or before this moment.
    pub until: Option<i64>,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What it carries.
    pub key: MessageKey,
    /// The account.
    pub account: i64,
    /// Its type.
    pub event_type: String,
    /// How it stands.
    pub status: Status,
    /// When it is tried again.
    pub next: Option<i64>,
    /// The attempts, oldest first, as far as they are kept.
    pub attempts: Vec<Attempt>,
}

impl Inner {
    /// A batch of attempts for the log.
    pub(crate) fn batch(&self, webhook: &str, attempts: &[Attempt]) -> Result<Batch> {
        let times = || attempts.iter().map(|attempt| attempt.at);
        let now = self.now();
        Ok(Batch {
            webhook: webhook.to_owned(),
            at: times().min().unwrap_or(now),
            number: i64::from(self.chance()) << 31 ^ i64::from(self.chance()),
            until: times().max().unwrap_or(now),
            attempts: attempts.len() as i64,
            body: encode(attempts)?,
        })
    }

    /// Writes attempts to the log. One that fails is told, and lost.
    pub(crate) async fn note(&self, webhook: &str, attempts: &[Attempt]) {
        let written = match self.batch(webhook, attempts) {
            Ok(batch) => {
                let slice = tramontane_store::log::slice_of(batch.at);
                match deliveries::ensure_slice(self.db(), slice, self.now()).await {
                    Ok(()) => deliveries::append(self.db(), &batch).await.map_err(Into::into),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(webhook, %error, "an attempt was not logged");
        }
    }

    async fn attempts(&self, webhook: &str, since: i64, until: i64) -> Result<Vec<Attempt>> {
        let batches = deliveries::batches(self.db(), webhook, since, until, MAX_LOOKED_AT).await?;
        let mut found = Vec::new();
        for batch in batches {
            let inside = |attempt: &Attempt| (since..=until).contains(&attempt.at);
            found.extend(decode(&batch.body)?.into_iter().filter(inside));
        }
        found.sort_by_key(|attempt| attempt.at);
        Ok(found)
    }

    pub(crate) async fn deliveries(&self, webhook: &str, wanted: &Wanted) -> Result<Vec<Delivery>> {
        let (since, until) = (wanted.since.unwrap_or(0), wanted.until.unwrap_or(i64::MAX >> 1));
        let attempts = self.attempts(webhook, since, until).await?;
        let mut by_key: BTreeMap<MessageKey, Vec<Attempt>> = BTreeMap::new();
        for attempt in attempts {
            if wanted.account.is_none_or(|account| account == attempt.account) {
                by_key.entry(attempt.key()).or_default().push(attempt);
            }
        }
        let mut found: Vec<_> = by_key
            .into_iter()
            .filter_map(|(key, attempts)| delivery(key, attempts))
            .filter(|one| wanted.status.is_none_or(|status| status == one.status))
            .collect();
        let newest = |one: &Delivery| one.attempts.last().map_or(0, |attempt| attempt.at);
        found.sort_by_key(|one| (std::cmp::Reverse(newest(one)), std::cmp::Reverse(one.key)));
        Ok(found)
    }
}

impl Deliveries {
    /// The deliveries of a webhook, newest first: of the newest `MAX_LOOKED_AT` attempts in the time
    /// that is asked for. How one stands is told by its last attempt there.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&self, webhook: &str, wanted: &Wanted) -> Result<Vec<Delivery>> {
        self.0.deliveries(webhook, wanted).await
    }

    /// One delivery of a webhook; `None` when nothing is known of it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn find(&self, row: &Webhook, id: &str) -> Result<Option<Delivery>> {
        let Some(key) = MessageKey::of_delivery(id, &row.id) else { return Ok(None) };
        let attempts = self.0.attempts(&row.id, 0, i64::MAX >> 1).await?;
        let attempts = attempts.into_iter().filter(|attempt| attempt.key() == key).collect();
        if let Some(found) = delivery(key, attempts) {
            return Ok(Some(found));
        }
        self.untried(row, key).await
    }

    /// A delivery that was never tried: it is known while its event waits.
    async fn untried(&self, row: &Webhook, key: MessageKey) -> Result<Option<Delivery>> {
        let Some(owner) = self.0.pages.owner(key.feed).await? else { return Ok(None) };
        if *owner.application != *row.application {
            return Ok(None);
        }
        let Some(event) = self.0.log.event(key.feed, key.first).await? else { return Ok(None) };
        let name = event.event.type_name();
        let endpoint = Endpoint::of(row);
        if !row.active || !endpoint.filter().wants(&name, owner.account, &owner.service) {
            return Ok(None);
        }
        let shard = crate::shard::of(owner.account);
        for kept in deliveries::positions(self.0.db(), &row.id).await? {
            if kept.shard != shard {
                continue;
            }
            let checkpoint = Checkpoint::decode(kept.position, &kept.parked)?;
            if checkpoint.awaits(event.position, owner.account, key.first) {
                let event_type = match (endpoint.format, key.last > key.first) {
                    (Format::Kloudless, _) => NOTICE.to_owned(),
                    (Format::Standard, true) => BATCH.to_owned(),
                    (Format::Standard, false) => name,
                };
                let (account, status) = (owner.account, Status::Pending);
                let attempts = Vec::new();
                return Ok(Some(Delivery {
                    key,
                    account,
                    event_type,
                    status,
                    next: None,
                    attempts,
                }));
            }
        }
        Ok(None)
    }
}

fn delivery(key: MessageKey, attempts: Vec<Attempt>) -> Option<Delivery> {
    let last = attempts.last()?;
    Some(Delivery {
        key,
        account: last.account,
        event_type: last.event_type.clone(),
        status: last.status,
        next: last.next,
        attempts,
    })
}
