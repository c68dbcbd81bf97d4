//! What the three services can do.

use tramontane_connector::{Abilities, Account, Case, HashKind, Limits, Semantics};
use tramontane_model::{Op, Ops, Reason};

use super::{Flavour, names};

/// The longest page of children.
pub(super) const MAX_PAGE: usize = 1_000;

/// What all of them have.
const NATIVE: Ops = Ops::of(&[
    Op::FileCreate,
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
    Op::FileHash,
    Op::FolderCreate,
    Op::FolderRename,
    Op::FolderMove,
    Op::FolderCopy,
    Op::FolderDelete,
    Op::FolderList,
    Op::FolderRead,
    Op::SearchName,
    Op::SearchContent,
    Op::PermissionsList,
    Op::FilePermissionsWrite,
    Op::FolderPermissionsWrite,
    Op::LinkCreate,
    Op::MultipartCreate,
    Op::VersionsList,
    Op::Raw,
]);

const TEAM: Ops = Ops::of(&[
    Op::TeamUsersList,
    Op::TeamUsersRead,
    Op::TeamGroupsList,
    Op::TeamGroupsRead,
    Op::TeamGroupsMembers,
]);

const BIN: Reason = Reason::lacks(
    "Microsoft Graph does not list the recycle bin. What is deleted lies there all the same.",
);
const PROPERTIES: Reason = Reason::lacks(
    "OneDrive and SharePoint keep values only for columns that a library's owner has set up.",
);

const REASONS: &[(Op, Reason)] = &[
    (Op::TrashList, BIN),
    (Op::TrashRestore, BIN),
    (Op::PropertiesList, PROPERTIES),
    (Op::PropertiesUpdate, PROPERTIES),
    (Op::PropertiesDeleteAll, PROPERTIES),
    (
        Op::FileCreateUnsized,
        Reason::lacks("Microsoft Graph wants to know the length of content beforehand."),
    ),
    (
        Op::FolderListRecursively,
        Reason::lacks("Microsoft Graph lists a tree in no order, and only whole drives."),
    ),
    (
        Op::RecentList,
        Reason::lacks(
            "Microsoft Graph lists what was opened last, not what changed, and gives that up.",
        ),
    ),
    (
        Op::UploadUrlCreate,
        Reason::lacks("Upload URLs of Microsoft Graph want a range header of every request."),
    ),
    (
        Op::FileDeletePermanently,
        Reason::lacks("OneDrive for personal use deletes into the recycle bin only."),
    ),
    (Op::QuotaRead, Reason::lacks("SharePoint's space is shared by all sites and not told.")),
];

pub(super) fn of(flavour: Flavour, account: &Account) -> Abilities {
    let mut native = NATIVE;
    if flavour != Flavour::Personal {
        native = native.with(Op::FileDeletePermanently);
    }
    if flavour != Flavour::Sharepoint {
        native = native.with(Op::QuotaRead);
    }
    if flavour != Flavour::Personal && account.admin {
        native = native.and(TEAM);
    }
    Abilities { native, reasons: REASONS.to_vec(), semantics: semantics(), limits: LIMITS }
}

fn semantics() -> Semantics {
    Semantics {
        case: Case::Preserving,
        duplicate_names: false,
        names: names::RULES,
        time_precision_micros: 1_000_000,
        stable_ids: true,
        hashes: &[HashKind::QuickXor],
        empty_folders: true,
    }
}

/// "Files of up to 250 GB" ("Restrictions and limitations in OneDrive and SharePoint").
const LIMITS: Limits = Limits {
    max_file_bytes: Some(250 << 30),
    account_concurrency: 8,
    service_concurrency: 512,
    account_rate: None,
    max_page: MAX_PAGE,
};
