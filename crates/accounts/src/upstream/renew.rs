//! A grant refreshed: once in the whole cluster, and never lost.
//!
//! Whoever needs a newer token takes the lease in the database, writes down what it is about to do,
//! asks the service with no connection held, and writes the outcome. Everybody else waits and adopts
//! it. When a process dies on the way its lease runs out, and the next one finds the intent: the
//! service may have spent the refresh token already. Asking once more is right all the same: services
//! with single-use tokens give the same answer again for a while, since answers get lost; and where
//! they do not, the grant is over, whoever asks.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use tramontane_connector::oauth::REFRESH_TOKEN;
use tramontane_connector::{Connector, Kind};
use tramontane_model::AccountId;
use tramontane_store::accounts::CredentialState;
use tramontane_store::grants::{self, Failed, Grant, Lease};

use super::endpoint::{Failure, oauth_of};
use super::fault::Fault;
use super::grants::Step;
use super::held::{Held, Pause};
use super::{CLIENT_ID, Client, Grants, Obtained};
use crate::account::{Opened, Written};
use crate::error::Error;

/// How long tokens that could not be written are tried to be written.
const WRITING: Duration = Duration::from_secs(600);

/// What a refresh is wanted for; without need there is none.
#[derive(Clone, Debug)]
pub(super) enum Want {
    /// A token that serves and is not this one, which the service refused.
    Serving(Option<SecretString>),
    /// A token with much of its life left.
    Early,
    /// A refresh since this moment: the grant shall not lapse.
    Since(Option<i64>),
    /// A refresh of a grant that was called dead: someone asked whether it is.
    Anyway,
}

impl Want {
    fn is_met(&self, held: &Held, now: i64) -> bool {
        match self {
            Self::Serving(refused) => held.serves(now) && !held.is(refused.as_ref()),
            Self::Early => held.serves(now) && !held.ages(now),
            Self::Since(_) | Self::Anyway => false,
        }
    }
}

/// How one turn under the lease ended.
enum Turn {
    /// With tokens that were written, and the lease given back with them.
    Written(Held),
    /// With a token, or with a failure to be told.
    Over(Result<Held, Fault>),
    /// Somebody changed what it was about: look again.
    Again,
}

/// What a refresh is made of.
struct Case {
    opened: std::sync::Arc<Opened>,
    refresh_token: SecretString,
    client: Client,
    hash: String,
}

impl Grants {
    /// A token that meets what is wanted: the stored one, or one that is fetched now.
    pub(super) async fn renew(&self, account: i64, want: Want) -> Result<Held, Fault> {
        let gone = || Fault::new(Kind::Credential, "The account is not there any more.");
        let id = AccountId::new(account).ok_or_else(gone)?;
        let until = Instant::now() + self.options().patience;
        let db = self.directory().db();
        let mut first = true;
        loop {
            let now = self.now();
            let seen = grants::find(db, account).await.map_err(Error::from)?;
            let free = seen.is_none_or(|grant| grant.leased_until <= now);
            if first || free {
                let opened = self.directory().reopen(id).await?.ok_or_else(gone)?;
                let connector = self.connector(&opened)?;
                if let Some(held) = self.as_it_is(&opened, connector.as_ref(), &want).await? {
                    return Ok(held);
                }
                let leased = now.saturating_add(micros(self.options().lease));
                let taken = match free {
                    true => grants::acquire(db, account, self.owner(), now, leased).await,
                    false => Ok(None),
                };
                if let Some(grant) = taken.map_err(Error::from)? {
                    self.step(Step::Leased);
                    match self.turn(id, connector.as_ref(), &grant, &want).await {
                        Turn::Written(held) => return Ok(held),
                        Turn::Over(outcome) => return outcome,
                        Turn::Again => {}
                    }
                }
            }
            first = false;
            if Instant::now() >= until {
                let text =
                    "Another process has been refreshing this account's tokens for too long.";
                return Err(Fault::new(Kind::Timeout, text));
            }
            tokio::time::sleep(jittered(self.options().look)).await;
        }
    }

    fn connector(&self, opened: &Opened) -> Result<std::sync::Arc<dyn Connector>, Fault> {
        let service = &opened.row.service;
        let found = self.registry().get(service).cloned();
        found.ok_or_else(|| {
            Fault::new(Kind::Internal, format!("This server has no connector for {service}."))
        })
    }

    /// The stored token, when it is all that is wanted. A failure when no refresh can help.
    async fn as_it_is(
        &self,
        opened: &Opened,
        connector: &dyn Connector,
        want: &Want,
    ) -> Result<Option<Held>, Fault> {
        let name = connector.descriptor().friendly_name;
        let dead = opened.row.credential_state == CredentialState::Dead;
        if dead && !matches!(want, Want::Anyway) {
            self.held().invalidate(&(opened.row.id, None));
            return Err(Fault::dead(name, opened.row.credential_reason.as_deref()));
        }
        let oauth = oauth_of(connector)?;
        let now = self.now();
        let held = Held::of(opened, oauth.refresh.access_life);
        if let Some(held) = held.as_ref().filter(|held| want.is_met(held, now)) {
            self.remember(opened.row.id, held);
            return Ok(Some(held.clone()));
        }
        if opened.account.credential.get(REFRESH_TOKEN).is_some() {
            return Ok(None);
        }
        // Without a refresh token a token is used to its very end.
        match held {
            Some(held) if !held.has_ended(now) && !matches!(want, Want::Serving(Some(_))) => {
                self.remember(opened.row.id, &held);
                Ok(Some(held))
            }
            Some(held) if !held.has_ended(now) => {
                let text = format!(
                    "{name} refuses the access token of this account, which has no refresh token: \
                     connect it again."
                );
                Err(Fault::new(Kind::Credential, text))
            }
            _ => {
                self.report(opened, CredentialState::Dead, "expired").await;
                Err(Fault::dead(name, Some("expired")))
            }
        }
    }

    fn remember(&self, account: i64, held: &Held) {
        self.held().insert((account, None), held.clone());
        self.paused().invalidate(&(account, None));
    }

    /// What is done under the lease.
    async fn turn(
        &self,
        id: AccountId,
        connector: &dyn Connector,
        grant: &Grant,
        want: &Want,
    ) -> Turn {
        let lease = Lease { account: id.number(), epoch: grant.epoch };
        let turn = match self.case(id, connector, grant, want).await {
            Ok(Ok(case)) => self.attempts(connector, lease, grant, case).await,
            Ok(Err(held)) => Turn::Over(Ok(held)),
            Err(fault) => Turn::Over(Err(fault)),
        };
        // Writing tokens gives the lease back. One that is not given back runs out.
        if matches!(turn, Turn::Written(_)) {
            return turn;
        }
        if let Err(error) = grants::release(self.directory().db(), lease).await {
            tracing::warn!(%error, account = %id, "a lease on a grant could not be given back");
        }
        turn
    }

    /// Looks again now that nobody else can change it, and collects what the call needs.
    async fn case(
        &self,
        id: AccountId,
        connector: &dyn Connector,
        grant: &Grant,
        want: &Want,
    ) -> Result<Result<Case, Held>, Fault> {
        let gone = || Fault::new(Kind::Credential, "The account is not there any more.");
        let opened = self.directory().reopen(id).await?.ok_or_else(gone)?;
        if let Some(held) = self.as_it_is(&opened, connector, want).await? {
            return Ok(Err(held));
        }
        let now = self.now();
        let held = Held::of(&opened, oauth_of(connector)?.refresh.access_life);
        match (want, held) {
            (Want::Since(since), Some(held)) if grant.refreshed > *since => return Ok(Err(held)),
            (Want::Serving(Some(refused)), Some(held)) if held.is(Some(refused)) => {
                let rest = micros(self.options().rest);
                if grant.refreshed.is_some_and(|at| now < at.saturating_add(rest)) {
                    let text = "The service refuses an access token that it gave a moment ago.";
                    return Err(Fault::new(Kind::Credential, text));
                }
            }
            _ => {}
        }
        let credential = &opened.account.credential;
        let refresh_token = credential.get(REFRESH_TOKEN).map(str::to_owned).unwrap_or_default();
        let hash = tramontane_vault::hash(&refresh_token);
        if grant.token_hash.as_deref() == Some(hash.as_str()) && now < grant.not_before {
            let wait = Duration::from_micros(u64::try_from(grant.not_before - now).unwrap_or(0));
            let text = format!(
                "{}'s token endpoint failed a moment ago and is left alone for now.",
                connector.descriptor().friendly_name
            );
            let fault = Fault::new(Kind::Unavailable, text).after(wait);
            self.pause(&opened, grant.not_before, &fault);
            return Err(fault);
        }
        let row = &opened.row;
        let client = credential.get(CLIENT_ID).map(str::to_owned);
        let client = self
            .client_of_grant(&row.application, &row.service, row.admin, client.as_deref())
            .await?;
        Ok(Ok(Case { opened, refresh_token: refresh_token.into(), client, hash }))
    }

    /// Asks the service, a few times if it gives no clear answer.
    async fn attempts(
        &self,
        connector: &dyn Connector,
        lease: Lease,
        grant: &Grant,
        case: Case,
    ) -> Turn {
        let db = self.directory().db();
        let about_this = grant.token_hash.as_ref() == Some(&case.hash);
        let mut intent = grant.intent.filter(|_| about_this);
        let mut failures = if about_this { grant.attempts } else { 0 };
        let mut tried = 0;
        loop {
            tried += 1;
            let now = self.now();
            let leased = now.saturating_add(micros(self.options().lease));
            match grants::intend(db, lease, &case.hash, now, leased).await {
                Ok(true) => self.step(Step::Intended),
                Ok(false) => return Turn::Again,
                Err(error) => return Turn::Over(Err(Error::from(error).into())),
            }
            let failure = match self.ask_once(connector, &case).await {
                Ok(tokens) => {
                    self.step(Step::Answered);
                    return self.keep(connector, lease, &case, tokens).await;
                }
                Err(failure) => failure,
            };
            failures += 1;
            let mut again = false;
            match &failure {
                Failure::Grant(code, text) => {
                    let interrupted = intent.is_some();
                    let reason = reason(code, text.as_deref(), interrupted);
                    return self.bury(connector, lease, &case, reason).await;
                }
                Failure::Unknown(_) => {
                    intent = Some(now);
                    again = true;
                }
                Failure::NotDone(_) => again = true,
                Failure::Client(..) | Failure::Request(..) | Failure::Unasked(_) => {}
            }
            let refuses_client = matches!(failure, Failure::Client(..));
            let wait = self.wait_after(failures);
            let last = !again || tried >= self.options().tries;
            let not_before = self.now().saturating_add(micros(wait));
            let failed = Failed { intent, attempts: failures, not_before };
            let noted = grants::fail(db, lease, failed, last).await;
            let name = connector.descriptor().friendly_name;
            let fault: Fault = Fault::from(failure.into_error(name)).after(wait);
            tracing::warn!(
                account = lease.account,
                service = connector.descriptor().name,
                failures,
                "a refresh gave no tokens"
            );
            match noted {
                Ok(true) if !last => tokio::time::sleep(wait).await,
                Ok(_) => {
                    if refuses_client {
                        let failing = CredentialState::Failing;
                        self.report(&case.opened, failing, "client_refused").await;
                    }
                    self.pause(&case.opened, not_before, &fault);
                    return Turn::Over(Err(fault));
                }
                Err(error) => return Turn::Over(Err(Error::from(error).into())),
            }
        }
    }

    async fn ask_once(&self, connector: &dyn Connector, case: &Case) -> Result<Obtained, Failure> {
        let service = connector.descriptor().name;
        let places = self.places(service);
        // The semaphore is never closed.
        let _place = places.acquire().await.ok();
        let begun = Instant::now();
        let answer = self.refresh(connector, &case.client, &case.refresh_token).await;
        let outcome = match &answer {
            Ok(_) => "ok",
            Err(Failure::Grant(..)) => "ended",
            Err(Failure::Client(..)) => "client_refused",
            Err(Failure::Unknown(_)) => "unknown",
            Err(_) => "failed",
        };
        metrics::counter!("tramontane_token_refreshes_total",
            "service" => service, "outcome" => outcome)
        .increment(1);
        metrics::histogram!("tramontane_token_refresh_seconds", "service" => service)
            .record(begun.elapsed().as_secs_f64());
        let oauth = connector.oauth();
        let oauth = oauth.ok_or_else(|| {
            Failure::Unasked(tramontane_connector::Error::internal("no OAuth here"))
        })?;
        let before = &case.opened.account.credential;
        let asked = before.get(super::GRANTED_SCOPES).unwrap_or_default();
        let asked: Vec<String> = asked.split(' ').map(str::to_owned).collect();
        let tokens = answer?;
        let same = tokens.refresh.is_none();
        let mut obtained = self.obtained(oauth, &case.client, tokens, &asked, Some(before));
        if same && obtained.refresh_token_expiry.is_none() {
            obtained.refresh_token_expiry = case.opened.row.refresh_token_expiry;
        }
        Ok(obtained)
    }

    /// Writes tokens down. They may be the only ones that still work, so it is tried for long.
    async fn keep(
        &self,
        connector: &dyn Connector,
        lease: Lease,
        case: &Case,
        obtained: Obtained,
    ) -> Turn {
        let due = self.next_look(connector, obtained.refresh_token_expiry);
        let until = Instant::now() + WRITING;
        let mut wait = Duration::from_millis(50);
        loop {
            let written = self.directory().store_renewed(&case.opened, &obtained, lease, due).await;
            let error = match written {
                Ok(Written::Stored(opened)) => {
                    self.step(Step::Stored);
                    let usual =
                        connector.oauth().map_or(Duration::ZERO, |one| one.refresh.access_life);
                    let held = Held::of(&opened, usual);
                    return match held {
                        Some(held) => {
                            self.remember(lease.account, &held);
                            Turn::Written(held)
                        }
                        None => Turn::Again,
                    };
                }
                // Connected again meanwhile, or another process was given tokens too: theirs count.
                Ok(Written::Other) => return Turn::Again,
                Err(Error::NotFound(_)) => {
                    let text = "The account is not there any more.";
                    return Turn::Over(Err(Fault::new(Kind::Credential, text)));
                }
                Err(error) => error,
            };
            tracing::error!(%error, account = lease.account, "renewed tokens could not be written");
            if Instant::now() >= until {
                return Turn::Over(Err(error.into()));
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(Duration::from_secs(10));
        }
    }

    /// The service ended the grant: later calls say so at once.
    async fn bury(
        &self,
        connector: &dyn Connector,
        lease: Lease,
        case: &Case,
        reason: &'static str,
    ) -> Turn {
        let (db, version) = (self.directory().db(), case.opened.credential_version);
        let buried = grants::kill(db, lease, version, reason, self.now()).await;
        if let Some(id) = AccountId::new(lease.account) {
            self.directory().forget_account(id);
        }
        self.held().invalidate(&(lease.account, None));
        match buried {
            Ok(true) => {
                let service = connector.descriptor().name;
                tracing::warn!(
                    account = lease.account,
                    service,
                    reason,
                    "the service ended a grant; the account must be connected again"
                );
                let name = connector.descriptor().friendly_name;
                Turn::Over(Err(Fault::dead(name, Some(reason))))
            }
            Ok(false) => Turn::Again,
            Err(error) => Turn::Over(Err(Error::from(error).into())),
        }
    }

    fn pause(&self, opened: &Opened, until: i64, fault: &Fault) {
        let revision = opened.account.revision;
        let pause = Pause { until, revision, fault: fault.clone() };
        self.paused().insert((opened.row.id, None), pause);
    }

    async fn report(&self, opened: &Opened, state: CredentialState, reason: &'static str) {
        let noted = self.directory().report_credential(opened, state, Some(reason)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, account = opened.row.id, "a credential's state was not noted");
        }
    }

    fn wait_after(&self, failures: i64) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0).min(20);
        let wait = self.options().first_wait.saturating_mul(1 << doublings);
        jittered(wait.min(self.options().longest_wait))
    }
}

/// Why a grant is over, in the words of `credential.reason`.
fn reason(code: &str, text: Option<&str>, interrupted: bool) -> &'static str {
    let text = text.unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // Microsoft writes its own codes into the text (its reference of AADSTS error codes).
    if says(&["AADSTS50173", "password has changed", "password was changed"]) {
        "password_changed"
    } else if code == "interaction_required"
        || says(&["AADSTS50076", "AADSTS50079", "AADSTS53003", "AADSTS50158", "policy"])
    {
        "admin_policy"
    } else if says(&["AADSTS700082", "AADSTS700084", "expired due to inactivity"]) {
        "expired"
    } else if interrupted {
        "refresh_interrupted"
    } else {
        "revoked"
    }
}

pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Between three quarters and five quarters of it, so that processes do not move in step.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.75 + f64::from(rand::random::<u32>()) / f64::from(u32::MAX) / 2.0)
}
