//! What a connector says that it can do: operations, limits, semantics.

use tramontane_model::{Op, Ops, Reason};

/// A kind of content hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// CRC-32C.
    Crc32c,
    /// Microsoft's `QuickXorHash`.
    QuickXor,
    /// Dropbox's content hash.
    DropboxContent,
}

/// How names that differ only in case are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` and `A` are two names.
    Sensitive,
    /// `a` and `A` are one name, written as it was first.
    Preserving,
}

/// Which names the service takes, beyond the rules that hold everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRules {
    /// The longest name, in bytes of UTF-8.
    pub max_bytes: usize,
    /// Characters that may not be in a name.
    pub forbidden: &'static [char],
    /// Whether a name may end with a dot or a space.
    pub trailing_dot_or_space: bool,
}

/// How the service behaves where services differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Semantics {
    /// Case of names.
    pub case: Case,
    /// Whether two things in one folder may have the same name.
    pub duplicate_names: bool,
    /// Which names are taken.
    pub names: NameRules,
    /// The finest step of modification times, in microseconds; 0 when times are not kept.
    pub time_precision_micros: u64,
    /// Whether an id stays the same through renames and moves.
    pub stable_ids: bool,
    /// Hashes that come with metadata.
    pub hashes: &'static [HashKind],
    /// Whether a new folder can be seen when it is empty (S3-like stores need a marker).
    pub empty_folders: bool,
}

/// How much the service takes at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The largest file, in bytes.
    pub max_file_bytes: Option<u64>,
    /// The most calls at once to one account.
    pub account_concurrency: usize,
    /// The most calls at once to the whole service, all accounts together.
    pub service_concurrency: usize,
    /// Calls per second to one account that the service grants; `None` when it names no number.
    pub account_rate: Option<f64>,
    /// The longest page of a listing.
    pub max_page: usize,
}

/// What a connector can do natively, why not where it cannot, and how it behaves.
#[derive(Clone, Debug)]
pub struct Abilities {
    /// What the service does itself.
    pub native: Ops,
    /// For some of the rest: why the service cannot. Shown where the gap filler cannot help either.
    pub reasons: Vec<(Op, Reason)>,
    /// How it behaves.
    pub semantics: Semantics,
    /// How much it takes.
    pub limits: Limits,
}

impl Abilities {
    /// Why the service cannot do this, as the connector says it.
    #[must_use]
    pub fn reason(&self, op: Op) -> Reason {
        let own = self.reasons.iter().find(|(of, _)| *of == op).map(|(_, reason)| *reason);
        own.unwrap_or(Reason::lacks("The service has nothing of the kind."))
    }
}
