//! How one event stands with one webhook: for whoever asks why it did not arrive.

use tramontane_activity::delivery::Checkpoint;
use tramontane_store::deliveries;
use tramontane_store::webhooks::Webhook;

use crate::deliver::{Deliveries, Delivery, Endpoint, Wanted};
use crate::error::Result;
use crate::log::Numbered;

/// How far back attempts are looked for before the moment of the event, in microseconds: clocks differ a little.
const BEFORE: i64 = 60_000_000;

/// How one event stands with one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The webhook is switched off, with the reason if it was us.
    Off(Option<String>),
    /// The webhook was made after the event.
    Before,
    /// Its filter does not want the event.
    Unwanted,
    /// It is to be sent.
    Waiting,
    /// It was tried: what came of it.
    Tried(Delivery),
    /// It was sent; of the attempts nothing is kept.
    Passed,
}

impl Deliveries {
    /// How an event of an account at this service stands with a webhook of the account's application.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn standing(
        &self,
        row: &Webhook,
        account: i64,
        service: &str,
        event: &Numbered,
    ) -> Result<Standing> {
        let endpoint = Endpoint::of(row);
        if !endpoint.filter().wants(&event.event.type_name(), account, service) {
            return Ok(Standing::Unwanted);
        }
        let since = Some(event.at - BEFORE);
        let wanted = Wanted { account: Some(account), since, ..Wanted::default() };
        let tried = self.list(&row.id, &wanted).await?.into_iter().find(|one| {
            one.key.feed == event.feed && (one.key.first..=one.key.last).contains(&event.sequence)
        });
        if let Some(tried) = tried {
            return Ok(Standing::Tried(tried));
        }
        if !row.active {
            return Ok(Standing::Off(endpoint.disabled_reason));
        }
        if event.at < row.created {
            return Ok(Standing::Before);
        }
        let shard = crate::shard::of(account);
        for kept in deliveries::positions(self.0.db(), &row.id).await? {
            if kept.shard == shard {
                let checkpoint = Checkpoint::decode(kept.position, &kept.parked)?;
                if !checkpoint.awaits(event.position, account, event.sequence) {
                    return Ok(Standing::Passed);
                }
            }
        }
        Ok(Standing::Waiting)
    }
}
