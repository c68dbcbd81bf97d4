//! What a Google Drive account can do.

use tramontane_connector::{Abilities, Case, HashKind, Limits, NameRules, Semantics};
use tramontane_model::{Op, Ops, Reason};

const NATIVE: Ops = Ops::of(&[
    Op::FileCreate,
    Op::FileCreateUnsized,
    Op::FileUpdate,
    Op::FileRead,
    Op::FileRename,
    Op::FileMove,
    Op::FileCopy,
    Op::FileDelete,
    Op::FileDeletePermanently,
    Op::FileDownload,
    Op::FileRange,
    Op::FileThumbnail,
    Op::FileHash,
    Op::FolderCreate,
    Op::FolderRename,
    Op::FolderMove,
    Op::FolderDelete,
    Op::FolderList,
    Op::FolderRead,
    Op::SearchName,
    Op::SearchContent,
    Op::RecentList,
    Op::PermissionsList,
    Op::FilePermissionsWrite,
    Op::FolderPermissionsWrite,
    Op::PropertiesList,
    Op::PropertiesUpdate,
    Op::PropertiesDeleteAll,
    Op::LinkCreate,
    Op::MultipartCreate,
    Op::UploadUrlCreate,
    Op::TrashList,
    Op::TrashRestore,
    Op::VersionsList,
    Op::QuotaRead,
    Op::Raw,
]);

const REASONS: &[(Op, Reason)] = &[
    (
        Op::FileConditional,
        Reason::lacks(
            "Drive lets several files have one name and knows no conditions, so Tramontane looks first.",
        ),
    ),
    (Op::FolderCopy, Reason::lacks("Drive copies files only.")),
    (Op::FolderListRecursively, Reason::lacks("Drive lists one folder at a time.")),
];

/// "REST Resource: files": times in milliseconds, checksums of binary content. Names may have any
/// character and occur more than once in a folder.
const SEMANTICS: Semantics = Semantics {
    case: Case::Sensitive,
    duplicate_names: true,
    names: NameRules { max_bytes: 1_024, forbidden: &[], trailing_dot_or_space: true },
    time_precision_micros: 1_000,
    stable_ids: true,
    hashes: &[HashKind::Md5, HashKind::Sha1, HashKind::Sha256],
    empty_folders: true,
};

/// "Storage and upload limits": 5 TB for a file. Rates are set for each Cloud project, so no number is
/// named here; refusals are waited for.
const LIMITS: Limits = Limits {
    max_file_bytes: Some(5 << 40),
    account_concurrency: 10,
    service_concurrency: 256,
    account_rate: None,
    max_page: 1_000,
};

/// What every account can do.
pub(super) fn abilities() -> Abilities {
    Abilities { native: NATIVE, reasons: REASONS.to_vec(), semantics: SEMANTICS, limits: LIMITS }
}
