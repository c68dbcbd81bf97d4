//! Proves one service: the whole suite as it is, then with every native operation masked in turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use tramontane_connector::oauth::ACCESS_TOKEN;
use tramontane_connector::{
    Account, Connector, Credential, Cx, EntryRef, Lent, Place, Registry, Settings, Storage,
};
use tramontane_fill::{Filled, Spool};
use tramontane_model::{AccountId, NativeId, Op, Ops, SystemClock};
use tramontane_wire::{Guard, SystemLookup, Wire, WireConfig};

use crate::conformance::{self, Followed, Ground, Report};
use crate::masked::Masked;

/// Suites with an operation masked that run at once.
const AT_ONCE: usize = 4;

/// An account of a running service, to prove its connector with.
pub struct Service {
    /// The connector.
    pub connector: Arc<dyn Connector>,
    /// The account.
    pub account: Arc<Account>,
    /// The way out.
    pub lent: Arc<dyn Lent>,
    /// The folder that the suite may use; `None`: the root.
    pub below: Option<NativeId>,
    /// Where parts are spooled.
    pub spool: Spool,
}

/// A wire that may call this machine.
///
/// # Errors
/// When it cannot be made.
pub fn loopback_wire(connectors: Vec<Arc<dyn Connector>>) -> anyhow::Result<Arc<Wire>> {
    loopback_wire_with(connectors, WireConfig::default())
}

/// As [`loopback_wire`], with these limits.
///
/// # Errors
/// When it cannot be made.
pub fn loopback_wire_with(
    connectors: Vec<Arc<dyn Connector>>,
    config: WireConfig,
) -> anyhow::Result<Arc<Wire>> {
    let allowed = ["127.0.0.0/8".to_owned(), "::1".to_owned()];
    let config =
        WireConfig { guard: Guard::allowing(&allowed).map_err(anyhow::Error::msg)?, ..config };
    let wire =
        Wire::new(config, Registry::of(connectors), Arc::new(SystemClock), Arc::new(SystemLookup));
    Ok(Arc::new(wire.map_err(anyhow::Error::msg)?))
}

impl Service {
    /// Connects as an operator would: the fields are normalised, the credential is tried, what the
    /// service tells is recorded.
    ///
    /// # Errors
    /// What the service says.
    pub async fn connect(
        connector: Arc<dyn Connector>,
        number: i64,
        fields: &[(&str, &str)],
        spool: Spool,
    ) -> anyhow::Result<Self> {
        let lent = loopback_wire(vec![Arc::clone(&connector)])?;
        Self::connect_over(lent, connector, number, fields, spool).await
    }

    /// As [`Service::connect`], by this way out.
    ///
    /// # Errors
    /// What the service says.
    pub async fn connect_over(
        lent: Arc<dyn Lent>,
        connector: Arc<dyn Connector>,
        number: i64,
        fields: &[(&str, &str)],
        spool: Spool,
    ) -> anyhow::Result<Self> {
        let (mut settings, mut credential) = (Settings::new(), Credential::none());
        let descriptor = connector.descriptor();
        for (name, value) in fields {
            if connector.oauth().is_some() && *name == ACCESS_TOKEN {
                credential.set(ACCESS_TOKEN, *value);
                continue;
            }
            let field = descriptor.field(name).with_context(|| format!("no field {name}"))?;
            if field.is_secret() {
                credential.set(field.name, *value);
            } else {
                settings.insert(field.name.into(), (*value).into());
            }
        }
        for field in descriptor.fields {
            if let Some(default) = field.default {
                settings.entry(field.name.into()).or_insert_with(|| default.into());
            }
        }
        connector.normalize(&mut settings, &mut credential)?;
        let mut account = Account {
            id: AccountId::new(number).context("account number")?,
            service: Arc::from(descriptor.name),
            admin: false,
            settings,
            credential,
            revision: 1,
        };
        let cx = Cx::interactive(Arc::new(account.clone()), lent.clone(), Duration::from_secs(30));
        let identity = connector.identify(&cx).await.context("identify")?;
        ensure!(!identity.id.is_empty() && !identity.display.is_empty());
        account.settings.extend(connector.settle(&cx).await.context("settle")?);
        account.revision = 2;
        Ok(Self { connector, account: Arc::new(account), lent, below: None, spool })
    }

    /// The same, its suite below this folder (a bucket, say).
    #[must_use]
    pub fn below(self, folder: &str) -> Self {
        Self { below: Some(NativeId::new(folder)), ..self }
    }

    fn cx(&self) -> Cx {
        Cx::interactive(Arc::clone(&self.account), Arc::clone(&self.lent), Duration::from_secs(120))
    }

    /// Runs the suite with these operations masked. Gives the report and what was declared wrongly.
    ///
    /// # Errors
    /// When the scratch folder cannot be made.
    pub async fn suite(&self, without: Ops, slow: bool) -> anyhow::Result<(Report, Vec<String>)> {
        let native = self.connector.require_storage()?;
        let whole = Filled::new(Arc::clone(&native), self.spool.clone());
        let masked = Arc::new(Masked::without(native, without));
        let storage = Arc::new(Filled::new(masked.clone(), self.spool.clone()));
        let cx = self.cx();
        let top = self.below.clone().unwrap_or_else(|| storage.root(&self.account));
        let followed = match self.connector.changes().filter(|_| without == Ops::NONE) {
            Some(changes) => {
                let all = changes.collections(&cx).await.context("collections")?;
                let of = all.into_iter().find(|one| one.root == top);
                let of = of.with_context(|| format!("no collection below {top}"))?;
                Some(Followed { changes, of })
            }
            None => None,
        };
        let mut random = [0u8; 6];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let name = format!("suite-{}", hex::encode(random));
        let scratch = storage.native().create_folder(&cx, &Place::new(top, name)).await;
        // With creating folders masked there is nothing to stand on; that is never done.
        let scratch = scratch.context("making the scratch folder")?;
        let only = std::env::var("TRAMONTANE_TEST_ONLY").ok();
        let ground = Ground { storage, cx, scratch: scratch.id.clone(), followed, slow, only };
        let report = conformance::run(&ground).await?;
        let wrong = conformance::declared_as_it_is(&masked, &ground).await?;
        let all =
            tramontane_connector::storage::DeleteOptions { recursive: true, ..Default::default() };
        let cleared = whole.delete(&self.cx(), &EntryRef::folder(scratch.id), &all).await;
        cleared.context("clearing up")?;
        Ok((report, wrong))
    }

    /// Proves the service: as it is, with every native operation masked in turn, and with all of them.
    ///
    /// # Errors
    /// Every failure, by mask.
    pub async fn prove(&self, slow: bool) -> anyhow::Result<Proof> {
        self.prove_masking(slow, &|_| true).await
    }

    /// As [`Service::prove_another`], and with those native operations masked in turn that `differs` names:
    /// those whose code is not that of the server whose gaps are all proven.
    ///
    /// # Errors
    /// Every failure, by mask.
    pub async fn prove_what_differs(&self, differs: &dyn Fn(Op) -> bool) -> anyhow::Result<Proof> {
        self.prove_masking(false, differs).await
    }

    /// Proves another server of a protocol whose gaps are proven one by one already: as it is, and with
    /// all native operations masked at once. What fills a gap is the same code whoever has it.
    ///
    /// # Errors
    /// Every failure, by mask.
    pub async fn prove_another(&self) -> anyhow::Result<Proof> {
        self.prove_masking(false, &|_| false).await
    }

    async fn prove_masking(
        &self,
        slow: bool,
        in_turn: &dyn Fn(Op) -> bool,
    ) -> anyhow::Result<Proof> {
        let mut failures = BTreeMap::new();
        let (report, wrong) = self.suite(Ops::NONE, slow).await?;
        let passed = report.passed();
        let mut found = report.failures();
        found.extend(wrong);
        if !found.is_empty() {
            failures.insert("as it is".to_owned(), found);
        }
        let storage = self.connector.require_storage()?;
        let native = storage.abilities(&self.account).native;
        let masked: Vec<Op> = native.iter().filter(|op| in_turn(*op) && maskable(*op)).collect();
        let masks = masked.len();
        let mut runs = futures::stream::iter(masked)
            .map(|op| async move { (op, self.suite(Ops::of(&[op]), false).await) })
            .buffer_unordered(AT_ONCE);
        while let Some((op, run)) = runs.next().await {
            let found = run?.0.failures();
            if !found.is_empty() {
                failures.insert(format!("without {op}"), found);
            }
        }
        drop(runs);
        let everything = native.iter().filter(|op| maskable(*op)).fold(Ops::NONE, Ops::with);
        let (report, _) = self.suite(everything, false).await?;
        let found = report.failures();
        if !found.is_empty() {
            failures.insert("without any of them".to_owned(), found);
        }
        Ok(Proof { passed, masks, failures })
    }
}

/// What proving a service gave.
#[derive(Debug)]
pub struct Proof {
    /// Checks that passed with nothing masked.
    pub passed: usize,
    /// Operations that were masked in turn.
    pub masks: usize,
    /// Failures by mask.
    pub failures: BTreeMap<String, Vec<String>>,
}

impl Proof {
    /// Fails with every failure in words.
    ///
    /// # Errors
    /// When there is one.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut text = String::new();
        for (mask, failures) in &self.failures {
            text.push_str(&format!("\n== {mask}\n"));
            for failure in failures {
                text.push_str(&format!("  {failure}\n"));
            }
        }
        ensure!(self.failures.is_empty(), "{text}");
        Ok(())
    }
}

/// Whether taking the operation away leaves something to test: the ground itself is never taken.
fn maskable(op: Op) -> bool {
    !matches!(
        op,
        Op::FolderCreate
            | Op::FolderList
            | Op::FolderRead
            | Op::FileDownload
            | Op::FileCreate
            | Op::Raw
    )
}
