//! What Box can do, and how it behaves.

use tramontane_connector::{Abilities, Case, HashKind, Limits, NameRules, Semantics};
use tramontane_model::{Op, Ops, Reason};

const NATIVE: Ops = Ops::of(&[
    Op::FileCreate,
    Op::FileUpdate,
    Op::FileRead,
    Op::FileRename,
    Op::FileMove,
    Op::FileCopy,
    Op::FileDelete,
    Op::FileDeletePermanently,
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
    Op::RecentList,
    Op::PermissionsList,
    Op::FilePermissionsWrite,
    Op::FolderPermissionsWrite,
    Op::PropertiesList,
    Op::PropertiesUpdate,
    Op::PropertiesDeleteAll,
    Op::LinkCreate,
    Op::TrashList,
    Op::TrashRestore,
    Op::VersionsList,
    Op::QuotaRead,
    Op::TeamUsersList,
    Op::TeamUsersRead,
    Op::TeamGroupsList,
    Op::TeamGroupsRead,
    Op::TeamGroupsMembers,
    Op::Raw,
]);

/// Slashes and what cannot be printed (<https://developer.box.com/reference/post-folders/>).
const FORBIDDEN: &[char] = &[
    '/', '\\', '\u{0}', '\u{1}', '\u{2}', '\u{3}', '\u{4}', '\u{5}', '\u{6}', '\u{7}', '\u{8}',
    '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{e}', '\u{f}', '\u{10}', '\u{11}', '\u{12}', '\u{13}',
    '\u{14}', '\u{15}', '\u{16}', '\u{17}', '\u{18}', '\u{19}', '\u{1a}', '\u{1b}', '\u{1c}',
    '\u{1d}', '\u{1e}', '\u{1f}', '\u{7f}',
];

/// The most characters of a name.
pub(super) const MAX_NAME: usize = 255;

/// Calls per second that Box grants one user: 1,000 a minute
/// (<https://developer.box.com/guides/api-calls/permissions-and-errors/rate-limits/>).
const RATE: f64 = 1_000.0 / 60.0;

/// The largest file that any plan takes: 500 GB (Enterprise Advanced). Smaller plans refuse earlier,
/// which is told before anything is sent.
const MAX_FILE_BYTES: u64 = 500_000_000_000;

/// Why the name cannot be had at Box; `None` when it can.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    if name.chars().count() > MAX_NAME {
        Some("name must be at most 255 characters long.")
    } else if name.contains(FORBIDDEN) {
        Some("name must not contain \"/\", \"\\\" or control characters: Box does not take them.")
    } else if name.ends_with(' ') {
        Some("name must not end with a space: Box does not take it.")
    } else {
        None
    }
}

/// `paced`: whether Box's own limit of calls holds.
pub(super) fn abilities(paced: bool) -> Abilities {
    Abilities {
        native: NATIVE,
        reasons: vec![
            (
                Op::FileCreateUnsized,
                Reason::lacks("Box wants to know the length of large content beforehand."),
            ),
            (
                Op::MultipartCreate,
                Reason::lacks(
                    "Box's upload sessions end with the SHA-1 of the whole content, and parts in them \
                     cannot be replaced.",
                ),
            ),
            (Op::FolderListRecursively, Reason::lacks("Box lists one folder at a time.")),
            (
                Op::UploadUrlCreate,
                Reason::lacks("Box has no URL that takes a file by PUT without a token."),
            ),
            (Op::ChangesRead, Reason::incomplete("Box's events are not followed yet.")),
        ],
        semantics: Semantics {
            case: Case::Preserving,
            duplicate_names: false,
            names: NameRules {
                max_bytes: MAX_NAME,
                forbidden: FORBIDDEN,
                trailing_dot_or_space: false,
            },
            time_precision_micros: 1_000_000,
            stable_ids: true,
            hashes: &[HashKind::Sha1],
            empty_folders: true,
        },
        limits: Limits {
            max_file_bytes: Some(MAX_FILE_BYTES),
            account_concurrency: 10,
            service_concurrency: 256,
            account_rate: paced.then_some(RATE),
            max_page: 1_000,
        },
    }
}
