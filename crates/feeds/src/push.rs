//! Pushes: channels asked for, prolonged and ended; what arrives is checked and becomes a nudge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use tramontane_connector::push::{
    Channel, Inbound, Nudge, Push, PushKeys, PushTarget, Reach, Received, Reply, TokenHash,
};
use tramontane_connector::{Collection, Connector, Cx, Kind};
use tramontane_model::{AccountId, Timestamp};
use tramontane_store::{Db, feeds};
use tramontane_vault::Entropy;
use url::Url;

use crate::error::{Error, Result};
use crate::feeds::Feeds;
use crate::trail::Nudger;

/// How long a channel is asked for; what the service grants counts.
const LIFE: Duration = Duration::from_secs(7 * 86_400);
/// After a refusal a channel is asked for again no sooner.
const AGAIN: Duration = Duration::from_secs(600);
/// Used where a channel does not say when it ends, in microseconds: it is looked at once a day.
const DAY: i64 = 86_400_000_000;

/// What services sign pushes with that go to one address for all accounts of an OAuth client.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// The keys of a service, any of which may be the one.
    async fn of(&self, service: &str) -> Vec<SecretString>;
}

/// What pushes need.
#[derive(Clone)]
pub struct Pushing {
    /// Where services reach us: channels are asked for below it. Without it nothing is asked for.
    pub base: Option<Url>,
    /// Makes ids and tokens.
    pub entropy: Arc<dyn Entropy>,
    /// What application-wide pushes are signed with.
    pub keys: Arc<dyn SigningKeys>,
}

/// The channels of one account.
#[derive(Default)]
pub(crate) struct Channels {
    rows: Option<Vec<feeds::Channel>>,
    refused: BTreeMap<String, Instant>,
    /// The service asks to look after the channels.
    pub(crate) repair: bool,
}

impl Channels {
    /// Sees to it that a collection has a channel that lives on. `true` when one is live afterwards.
    pub(crate) async fn keep(
        &mut self,
        db: &Db,
        pushing: &Pushing,
        connector: &dyn Connector,
        cx: &Cx,
        of: &Collection,
        cursor: &str,
    ) -> Result<bool> {
        let Some(changes) = connector.changes() else { return Ok(false) };
        let (Some(push), Some(base)) = (changes.push(), &pushing.base) else { return Ok(false) };
        if push.reach() == Reach::Client {
            return Ok(false);
        }
        if self.rows.is_none() {
            self.rows = Some(feeds::channels(db, cx.account.id.number()).await?);
        }
        let now = cx.now().micros();
        let rows = self.rows.get_or_insert_default();
        let newest = rows.iter().rev().find(|row| row.collection == of.id && row.state == "live");
        let newest = newest.cloned();
        let live = newest.as_ref().is_some_and(|row| row.expires.is_none_or(|end| end > now));
        let due = self.repair || newest.as_ref().is_none_or(|row| now >= renew_at(row));
        if !due || self.refused.get(&of.id).is_some_and(|at| at.elapsed() < AGAIN) {
            return Ok(live);
        }
        let service = connector.descriptor().name;
        let asked = renewed(push, cx, newest.as_ref()).await;
        let outcome = match asked {
            Ok(Some(channel)) => self.prolonged(db, newest, channel).await.map(|()| true),
            Ok(None) => {
                let wish = Wish { pushing, push, cx, of, cursor, base, service };
                self.ask(db, wish).await
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(live) => {
                self.refused.remove(&of.id);
                Ok(live)
            }
            Err(Error::Service(error)) => {
                tracing::info!(account = cx.account.id.number(), %error, "the service grants no pushes");
                self.refused.insert(of.id.clone(), Instant::now());
                Ok(live)
            }
            Err(error) => Err(error),
        }
    }

    async fn prolonged(
        &mut self,
        db: &Db,
        row: Option<feeds::Channel>,
        channel: Channel,
    ) -> Result<()> {
        let Some(mut row) = row else { return Ok(()) };
        row.native = Some(channel.native);
        row.resource = channel.resource;
        row.expires = channel.expires.map(|end| end.micros());
        feeds::update_channel(db, &row).await?;
        for kept in self.rows.iter_mut().flatten().filter(|kept| kept.id == row.id) {
            kept.clone_from(&row);
        }
        Ok(())
    }

    /// Asks for a new channel, then ends those before it: for a while both are live, so nothing is missed.
    async fn ask(&mut self, db: &Db, wish: Wish<'_>) -> Result<bool> {
        let Wish { pushing, push, cx, of, cursor, base, service } = wish;
        let id = tramontane_vault::random_id(pushing.entropy.as_ref(), 24);
        let token = SecretString::from(tramontane_vault::random_id(pushing.entropy.as_ref(), 32));
        let Ok(url) = base.join(&format!("{service}/{id}")) else { return Ok(false) };
        let mut row = feeds::Channel {
            id: id.clone(),
            account: cx.account.id.number(),
            collection: of.id.clone(),
            state: "asked".to_owned(),
            native: None,
            resource: None,
            token_hash: TokenHash::of(token.expose_secret()).as_str().to_owned(),
            expires: None,
            created: cx.now().micros(),
        };
        // Before the service is asked: its greeting may come before its answer.
        feeds::insert_channel(db, &row).await?;
        let target = PushTarget { url, channel: id.clone(), token, life: LIFE };
        let channel = match push.subscribe(cx, of, cursor, &target).await {
            Ok(channel) => channel,
            Err(error) => {
                feeds::delete_channel(db, &id).await?;
                return Err(error.into());
            }
        };
        "live".clone_into(&mut row.state);
        row.native = Some(channel.native);
        row.resource = channel.resource;
        row.expires = channel.expires.map(|end| end.micros());
        feeds::update_channel(db, &row).await?;
        let rows = self.rows.get_or_insert_default();
        let (old, mut kept): (Vec<_>, Vec<_>) =
            rows.drain(..).partition(|other| other.collection == of.id);
        kept.push(row);
        *rows = kept;
        for row in old {
            let channel = Channel {
                id: row.id.clone(),
                native: row.native.clone().unwrap_or_default(),
                resource: row.resource.clone(),
                expires: row.expires.map(Timestamp::from_micros),
            };
            match push.stop(cx, &channel).await {
                Ok(()) => {}
                // It runs out by itself.
                Err(error) => tracing::debug!(%error, "an old channel could not be ended"),
            }
            feeds::delete_channel(db, &row.id).await?;
        }
        self.repair = false;
        Ok(true)
    }
}

/// A channel that is wanted.
struct Wish<'a> {
    pushing: &'a Pushing,
    push: &'a dyn Push,
    cx: &'a Cx,
    of: &'a Collection,
    cursor: &'a str,
    base: &'a Url,
    service: &'a str,
}

/// Asks the service to prolong a channel; `None` where a new one is needed.
async fn renewed(
    push: &dyn Push,
    cx: &Cx,
    row: Option<&feeds::Channel>,
) -> Result<Option<Channel>> {
    let Some(row) = row else { return Ok(None) };
    let channel = Channel {
        id: row.id.clone(),
        native: row.native.clone().unwrap_or_default(),
        resource: row.resource.clone(),
        expires: row.expires.map(Timestamp::from_micros),
    };
    match push.renew(cx, &channel, LIFE).await {
        Ok(channel) => Ok(channel),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Between half and three quarters of a channel's life, for each at a point of its own.
fn renew_at(row: &feeds::Channel) -> i64 {
    let life = row.expires.map_or(DAY, |end| end.saturating_sub(row.created)).max(0);
    let spread = i64::from(row.id.bytes().fold(0_u8, u8::wrapping_add));
    row.created.saturating_add(life / 2).saturating_add(life / 4 / 256 * spread)
}

/// What becomes of a request that claims to be a push.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived {
    /// The service asked whether the address is ours.
    Handshake(Reply),
    /// Taken.
    Taken,
    /// Not from the service, or nothing that is known here.
    Refused,
}

impl Feeds {
    /// Takes a push that arrived. Answers at once: what it says is looked at afterwards.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn arrived(
        &self,
        service: &str,
        channel: Option<&str>,
        request: &Inbound,
    ) -> Result<Arrived> {
        let Some(changes) = self.connector(service).and_then(|one| one.changes()) else {
            return Ok(Arrived::Refused);
        };
        let Some(push) = changes.push() else { return Ok(Arrived::Refused) };
        let row = match channel {
            Some(id) => feeds::channel(self.db(), id).await?,
            None => None,
        };
        if (push.reach() == Reach::Channel) != row.is_some() {
            return Ok(Arrived::Refused);
        }
        let signing = match push.reach() {
            Reach::Client => self.pushing().keys.of(service).await,
            Reach::Channel => Vec::new(),
        };
        let token = row.as_ref().map(|row| TokenHash::kept(row.token_hash.as_str()));
        let received = match push.receive(request, &PushKeys { token, signing }) {
            Ok(received) => received,
            Err(error) => {
                let forged = error.kind == Kind::Credential;
                tracing::info!(service, forged, %error, "a push was refused");
                return Ok(Arrived::Refused);
            }
        };
        let nudges = match received {
            Received::Handshake(reply) => return Ok(Arrived::Handshake(reply)),
            Received::Nudges(nudges) => nudges,
        };
        let of_channel = row.and_then(|row| AccountId::new(row.account));
        for nudge in nudges.into_iter().take(10_000) {
            match (nudge, of_channel) {
                (Nudge::Channel, Some(account)) => self.nudge(account, Nudger::Push),
                (Nudge::Repair, Some(account)) => {
                    self.repair(account);
                    self.nudge(account, Nudger::Push);
                }
                (Nudge::User(user), _) => {
                    for account in feeds::accounts_of_user(self.db(), service, &user).await? {
                        if let Some(account) = AccountId::new(account) {
                            self.nudge(account, Nudger::Push);
                        }
                    }
                }
                (Nudge::Channel | Nudge::Repair, None) => {}
            }
        }
        Ok(Arrived::Taken)
    }
}
