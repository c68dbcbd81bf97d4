//! "Why did I not get this event?": what said that something changed, what the looks came to, what is in the feed,
//! and how it stands with the webhooks.

use serde::Serialize;
use tramontane_accounts::Caller;
use tramontane_feeds::Numbered;
use tramontane_feeds::deliver::{Endpoint, Standing};
use tramontane_feeds::following::Watched;
use tramontane_model::{ResourceId, Timestamp};
use tramontane_store::webhooks;
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::ok;
use crate::problem::{Answer, Problem};
use crate::query::Query;

use super::allowed;
use super::health::{FeedHealth, look, word};
use super::view::{event_id, read_id};

/// How many of the newest events are looked through for an object.
const LOOKED_THROUGH: i64 = 2_000;
/// Events of one page of that.
const PAGE: usize = 500;
/// The most events of an object that are shown.
const MAX_EVENTS: usize = 10;
/// The most webhooks that are told of.
const MAX_WEBHOOKS: usize = 50;

/// Why something was not told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedExplanation)]
pub(crate) struct Explanation {
    /// Always `feed_explanation`.
    r#type: &'static str,
    /// Always `events`.
    api: &'static str,
    /// The account.
    account: i64,
    /// What this comes to, in sentences; the first is the most likely reason.
    findings: Vec<String>,
    /// How the feed is.
    feed: FeedHealth,
    /// What said that something changed, newest first. In memory: since the process started.
    nudges: Vec<Nudge>,
    /// Looks at the service, newest first. In memory: since the process started.
    looks: Vec<Look>,
    /// The account's subscriptions: each event goes to those that watch it.
    subscriptions: Vec<Subscription>,
    /// The newest events of the object, or the event, that was asked about; newest first.
    events: Vec<Event>,
    /// How the newest of these stands with each webhook of the application; `null` for callers without an API key.
    deliveries: Option<Vec<Delivery>>,
}

/// Something said that something changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedNudge)]
pub(crate) struct Nudge {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What: `push`, `long_poll`, `watch`, `write`, `unsettled`, `start`.
    by: &'static str,
}

/// A look at the service, or several that found nothing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedLook)]
pub(crate) struct Look {
    /// When the last of them ended.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Why it was made.
    reason: &'static str,
    /// How many.
    times: u32,
    /// Requests of the last.
    requests: u32,
    /// What the service told: entries and changes.
    seen: u32,
    /// What came of it, compared with what was known.
    events: u32,
    /// Why it failed.
    error: Option<String>,
}

/// A subscription, as far as it decides.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedSubscription)]
pub(crate) struct Subscription {
    /// Its id.
    id: String,
    /// Whether it is the one of `/events` and of webhooks.
    default: bool,
    /// Whether it gets events.
    active: bool,
    /// Whether it watches everything.
    everything: bool,
    /// The number of its newest event.
    newest: i64,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainedEvent)]
pub(crate) struct Event {
    /// Its id.
    id: String,
    /// Its type, as webhooks have it.
    r#type: String,
    /// When it was noticed.
    #[schema(value_type = String, format = DateTime)]
    detected: Timestamp,
    /// When it could be read.
    #[schema(value_type = String, format = DateTime)]
    committed: Timestamp,
    /// When it happened, as the service says.
    #[schema(value_type = Option<String>, format = DateTime)]
    modified: Option<Timestamp>,
}

/// How the event stands with a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainedDelivery)]
pub(crate) struct Delivery {
    /// The webhook.
    webhook: String,
    /// Without an event `on` or `off`; else `off`, `before` (made after the event), `unwanted` (by its filter), `waiting`, `passed` (sent, but the
    /// attempts are not kept), or as deliveries have it: `pending`, `retrying`, `delivered`, `failed`.
    status: &'static str,
    /// Attempts that are kept.
    attempts: usize,
    /// What the last attempt came to: a status code or an error.
    last: Option<String>,
    /// When it is tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<Timestamp>,
    /// Why it is off.
    reason: Option<String>,
}

/// `GET .../events/explain`.
///
/// # Errors
/// `forbidden` when events are off; `invalid_parameters`; `not_found` for an event that is not kept.
pub(crate) async fn retrieve(account: Account, query: Query) -> Answer {
    allowed(&account)?;
    let (feed, trail) = look(&account).await?;
    let asked = Asked::read(&query)?;
    let events = asked.events(&account).await?;
    let subscriptions = account.app().log().subscriptions(account.id().number()).await?;
    let subscriptions: Vec<Subscription> = subscriptions
        .iter()
        .map(|row| Subscription {
            id: row.id.clone(),
            default: row.is_default,
            active: row.active,
            everything: Watched::of(row).folders.is_empty(),
            newest: row.head,
        })
        .collect();
    let looks: Vec<Look> = trail
        .looks
        .into_iter()
        .rev()
        .map(|look| Look {
            at: Timestamp::from_micros(look.at),
            reason: word(look.reason),
            times: look.times,
            requests: look.requests,
            seen: look.seen,
            events: look.events,
            error: look.error,
        })
        .collect();
    let nudges = trail.nudges.into_iter().rev();
    let nudges = nudges
        .map(|one| Nudge { at: Timestamp::from_micros(one.at), by: one.by.as_str() })
        .collect();
    let deliveries = match (&account.caller, events.first()) {
        (Caller::Key(_), newest) => Some(deliveries(&account, newest).await?),
        _ => None,
    };
    let mut findings = feed.findings();
    findings.extend(subscriptions.iter().filter(|one| one.default).filter_map(|one| {
        if !one.active {
            Some("The default subscription is switched off: it gets no events.".to_owned())
        } else if !one.everything {
            let text = "The default subscription watches some folders only: what happens elsewhere is not told.";
            Some(text.to_owned())
        } else {
            None
        }
    }));
    asked.findings(&events, &looks, &mut findings);
    for one in deliveries.iter().flatten().filter(|_| !events.is_empty()) {
        findings.push(one.finding());
    }
    ok(&Explanation {
        r#type: "feed_explanation",
        api: "events",
        account: account.id().number(),
        findings,
        feed,
        nudges,
        looks,
        subscriptions,
        events: events.iter().map(view).collect(),
        deliveries,
    })
}

/// What is asked about.
enum Asked {
    Nothing,
    Event(String),
    /// The service's id of a file or folder.
    Object(String),
}

impl Asked {
    fn read(query: &Query) -> Answer<Self> {
        if let Some(id) = query.text("event") {
            return Ok(Self::Event(id.to_owned()));
        }
        let Some(id) = query.text("object") else { return Ok(Self::Nothing) };
        let rule = "must be the id of a file or folder";
        let of = ResourceId::parse(id).ok_or_else(|| Problem::invalid("object", rule))?;
        Ok(Self::Object(of.native.as_str().to_owned()))
    }

    /// The events that it is about, newest first.
    async fn events(&self, account: &Account) -> Answer<Vec<Numbered>> {
        let log = account.app().log();
        let own = account.id().number();
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Event(id) => {
                let missing = || Problem::not_found("event");
                let (feed, sequence) =
                    read_id(id).filter(|(feed, _)| *feed == own).ok_or_else(missing)?;
                Ok(vec![log.event(feed, sequence).await?.ok_or_else(missing)?])
            }
            Self::Object(id) => {
                let Some(extent) = log.extent(own).await? else { return Ok(Vec::new()) };
                let mut found = Vec::new();
                let mut after = (extent.head - LOOKED_THROUGH).max(extent.first - 1).max(0);
                while after < extent.head {
                    let page = log.page(own, after, PAGE).await?;
                    if page.cursor <= after {
                        break;
                    }
                    after = page.cursor;
                    found.extend(page.events.into_iter().filter(|one| one.event.object.id == *id));
                }
                found.reverse();
                found.truncate(MAX_EVENTS);
                Ok(found)
            }
        }
    }

    fn findings(&self, events: &[Numbered], looks: &[Look], found: &mut Vec<String>) {
        if let (Self::Object(_), true) = (self, events.is_empty()) {
            let text = format!("None of the newest {LOOKED_THROUGH} events is about this object.");
            found.push(text);
            let last = looks.iter().find(|look| look.error.is_none());
            found.push(match last {
                Some(look) if look.events == 0 => format!(
                    "The last look ended at {} and found nothing that differs from what was known. What happened \
                     after it comes with the next one; several changes between two looks come as one, and what was \
                     undone in between does not come.",
                    look.at
                ),
                Some(look) => format!("The last look ended at {} and told {} events.", look.at, look.events),
                None => "The account was not looked at since this process started.".to_owned(),
            });
        }
        if let Some(newest) = events.first() {
            let id = event_id(newest.feed, newest.sequence);
            let at = Timestamp::from_micros(newest.at);
            found.push(format!("{id} ({}) could be read from {at} on.", newest.event.type_name()));
        }
    }
}

fn view(numbered: &Numbered) -> Event {
    Event {
        id: event_id(numbered.feed, numbered.sequence),
        r#type: numbered.event.type_name(),
        detected: numbered.event.detected_at(),
        committed: Timestamp::from_micros(numbered.at),
        modified: numbered.event.happened.map(Timestamp::from_micros),
    }
}

async fn deliveries(account: &Account, newest: Option<&Numbered>) -> Answer<Vec<Delivery>> {
    let app = account.app();
    let (id, service) = (account.id().number(), account.opened.row.service.as_str());
    let mut told = Vec::new();
    let rows = webhooks::list(app.db(), account.application_id()).await?;
    for row in rows.into_iter().take(MAX_WEBHOOKS) {
        let standing = match newest {
            Some(event) => app.deliveries().standing(&row, id, service, event).await?,
            None if row.active => Standing::Passed,
            None => Standing::Off(Endpoint::of(&row).disabled_reason),
        };
        let mut one = Delivery {
            webhook: row.id,
            status: "passed",
            attempts: 0,
            last: None,
            next_attempt: None,
            reason: None,
        };
        match standing {
            Standing::Off(reason) => {
                one.status = "off";
                one.reason = reason;
            }
            Standing::Before => one.status = "before",
            Standing::Unwanted => one.status = "unwanted",
            Standing::Waiting => one.status = "waiting",
            Standing::Passed if newest.is_none() => one.status = "on",
            Standing::Passed => {}
            Standing::Tried(delivery) => {
                one.status = delivery.status.as_str();
                one.attempts = delivery.attempts.len();
                one.next_attempt = delivery.next.map(Timestamp::from_micros);
                one.last = delivery.attempts.last().and_then(|last| {
                    last.error.clone().or_else(|| last.status_code.map(|code| code.to_string()))
                });
            }
        }
        told.push(one);
    }
    Ok(told)
}

impl Delivery {
    fn finding(&self) -> String {
        let (webhook, attempts) = (&self.webhook, self.attempts);
        let last = self.last.as_deref().unwrap_or("no answer");
        match self.status {
            "off" => format!("{webhook} is switched off."),
            "before" => format!("{webhook} was made after the event."),
            "unwanted" => {
                format!("{webhook} does not want events of this type, account or service.")
            }
            "waiting" | "pending" => format!("{webhook}: it waits to be sent."),
            "delivered" => format!("{webhook}: it was delivered ({last})."),
            "retrying" => {
                let next = self
                    .next_attempt
                    .map_or(String::new(), |at| format!("; the next comes at {at}"));
                format!("{webhook}: {attempts} attempts failed, the last with {last}{next}.")
            }
            "failed" => {
                format!("{webhook}: given up after {attempts} attempts, the last with {last}.")
            }
            _ => format!("{webhook}: it was sent; its attempts are not kept any more."),
        }
    }
}
