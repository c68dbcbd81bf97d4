//! What a Dropbox account can do.

use tramontane_connector::{Abilities, Account, Case, HashKind, Limits, NameRules, Semantics};
use tramontane_model::{Op, Ops, Reason};

/// The setting with the kind of account: `basic`, `pro` or `business`.
pub(super) const ACCOUNT_TYPE: &str = "account_type";

/// The largest file that an upload session takes: 2^41 - 2^22 bytes (`files/upload_session/start`).
pub(super) const MAX_FILE: u64 = (1 << 41) - (1 << 22);

const NATIVE: Ops = Ops::of(&[
    Op::FileCreate,
    Op::FileCreateUnsized,
    Op::FileUpdate,
    Op::FileRead,
    Op::FileRename,
    Op::FileMove,
    Op::FileCopy,
    Op::FileDelete,
    Op::FileDownload,
    Op::FileRange,
    Op::FileConditional,
    Op::FileThumbnail,
    Op::FolderCreate,
    Op::FolderRename,
    Op::FolderMove,
    Op::FolderCopy,
    Op::FolderDelete,
    Op::FolderList,
    Op::FolderRead,
    Op::FolderListRecursively,
    Op::SearchName,
    Op::SearchContent,
    Op::MultipartCreate,
    Op::TrashList,
    Op::TrashRestore,
    Op::VersionsList,
    Op::PermissionsList,
    Op::FilePermissionsWrite,
    Op::FolderPermissionsWrite,
    Op::PropertiesList,
    Op::PropertiesUpdate,
    Op::PropertiesDeleteAll,
    Op::LinkCreate,
    Op::QuotaRead,
    Op::Raw,
]);

const REASONS: &[(Op, Reason)] = &[
    (Op::RecentList, Reason::lacks("Dropbox has no list of what changed last.")),
    (
        Op::FileDeletePermanently,
        Reason::lacks("Dropbox deletes for good only for administrators of teams."),
    ),
    (
        Op::UploadUrlCreate,
        Reason::lacks("Upload links of Dropbox take content by POST alone, not by PUT."),
    ),
    (Op::FileHash, Reason::lacks("Dropbox tells its own content hash alone.")),
];

/// Characters that no name may hold, and that no name ends with a space: known from practice; the
/// HTTP documentation says "malformed_path" without naming them.
const FORBIDDEN: &[char] = &['/', '\\', '\0', '\u{7f}'];

const SEMANTICS: Semantics = Semantics {
    case: Case::Preserving,
    duplicate_names: false,
    names: NameRules { max_bytes: 255, forbidden: FORBIDDEN, trailing_dot_or_space: false },
    time_precision_micros: 1_000_000,
    stable_ids: true,
    hashes: &[HashKind::DropboxContent],
    empty_folders: true,
};

const LIMITS: Limits = Limits {
    max_file_bytes: Some(MAX_FILE),
    // Writes of one namespace are done one after the other anyway ("Performance guide").
    account_concurrency: 8,
    service_concurrency: 512,
    account_rate: None,
    max_page: 2_000,
};

/// What this account can do.
pub(super) fn of(account: &Account) -> Abilities {
    // "permanently_delete" is for apps of teams alone, and so is its scope.
    let native = if account.admin { NATIVE.with(Op::FileDeletePermanently) } else { NATIVE };
    Abilities { native, reasons: REASONS.to_vec(), semantics: SEMANTICS, limits: LIMITS }
}
