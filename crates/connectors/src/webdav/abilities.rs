//! What a WebDAV account can do, by dialect and by what connecting found out.

use tramontane_connector::{Abilities, Account, Case, HashKind, Limits, NameRules, Semantics};
use tramontane_model::{Op, Ops, Reason};

use super::profile::{Dialect, Profile};

/// RFC 4918.
const PLAIN: Ops = Ops::of(&[
    Op::FileCreate,
    Op::FileUpdate,
    Op::FileRead,
    Op::FileRename,
    Op::FileMove,
    Op::FileCopy,
    Op::FileDelete,
    Op::FileDownload,
    Op::FileRange,
    Op::FolderCreate,
    Op::FolderRename,
    Op::FolderMove,
    Op::FolderCopy,
    Op::FolderDelete,
    Op::FolderList,
    Op::FolderRead,
    Op::Raw,
]);

/// Nextcloud, beside its files.
const CLOUD: Ops = Ops::of(&[
    Op::SearchName,
    Op::RecentList,
    Op::MultipartCreate,
    Op::TrashList,
    Op::TrashRestore,
    Op::VersionsList,
    Op::FileThumbnail,
    Op::FileDeletePermanently,
]);

const PROPERTIES: Ops =
    Ops::of(&[Op::PropertiesList, Op::PropertiesUpdate, Op::PropertiesDeleteAll]);

/// Reasons where RFC 4918 itself has nothing.
const LACKING: &[(Op, Reason)] = &[
    (Op::TrashList, Reason::lacks("WebDAV has no trash.")),
    (Op::TrashRestore, Reason::lacks("WebDAV has no trash.")),
    (Op::VersionsList, Reason::lacks("WebDAV servers seldom keep earlier contents of files.")),
    (Op::SearchName, Reason::lacks("WebDAV has no search.")),
    (Op::SearchContent, Reason::lacks("WebDAV has no search.")),
    (Op::PermissionsList, Reason::lacks("WebDAV servers do not tell who has access.")),
    (Op::FilePermissionsWrite, Reason::lacks("WebDAV servers do not let access be changed.")),
    (Op::FolderPermissionsWrite, Reason::lacks("WebDAV servers do not let access be changed.")),
    (
        Op::FileConditional,
        Reason::lacks(
            "WebDAV servers differ in which conditions they look at, so Tramontane looks first.",
        ),
    ),
];

const SHARES: Reason = Reason::incomplete("Shares of Nextcloud and ownCloud are not spoken yet.");
const OWNCLOUD: Reason = Reason::incomplete("This part of ownCloud is not spoken yet.");
const NO_PROPERTIES: Reason =
    Reason::lacks("This WebDAV server is not known to keep properties that it does not know.");

/// What some servers refuse in names.
const CONTROLS: &[char] = &[
    '\u{1}', '\u{2}', '\u{3}', '\u{4}', '\u{5}', '\u{6}', '\u{7}', '\u{8}', '\t', '\n', '\u{b}',
    '\u{c}', '\r', '\u{e}', '\u{f}', '\u{10}', '\u{11}', '\u{12}', '\u{13}', '\u{14}', '\u{15}',
    '\u{16}', '\u{17}', '\u{18}', '\u{19}', '\u{1a}', '\u{1b}', '\u{1c}', '\u{1d}', '\u{1e}',
    '\u{1f}', '\u{7f}',
];

/// What this account can do.
pub(super) fn of(account: &Account) -> Abilities {
    // Settings that cannot be read make every call fail with the reason; until then they are plain.
    let profile = Profile::of(account).ok();
    let dialect = profile.as_ref().map_or(Dialect::Plain, |profile| profile.dialect);
    let is_cloud = profile.as_ref().is_some_and(|profile| profile.cloud.is_some());
    let mut native = PLAIN;
    if dialect.has_oc_props() {
        native = native.with(Op::FileConditional);
    } else {
        native = native.with(Op::FileCreateUnsized).with(Op::FileDeletePermanently);
    }
    if is_cloud {
        native = native.and(CLOUD);
    }
    if profile.as_ref().is_some_and(|profile| profile.quota) {
        native = native.with(Op::QuotaRead);
    }
    if profile.as_ref().is_some_and(|profile| profile.properties) {
        native = native.and(PROPERTIES);
    }
    let mut semantics = semantics(dialect);
    if profile.as_ref().is_some_and(|profile| profile.plain_names) {
        semantics.names.forbidden = CONTROLS;
    }
    Abilities { native, reasons: reasons(dialect), semantics, limits: LIMITS }
}

fn reasons(dialect: Dialect) -> Vec<(Op, Reason)> {
    let mut reasons = Vec::new();
    if dialect.has_oc_props() {
        for op in [Op::PermissionsList, Op::FilePermissionsWrite, Op::FolderPermissionsWrite] {
            reasons.push((op, SHARES));
        }
    }
    if dialect == Dialect::Owncloud {
        let ops = [Op::TrashList, Op::TrashRestore, Op::VersionsList, Op::FileDeletePermanently];
        reasons.extend(ops.map(|op| (op, OWNCLOUD)));
    }
    reasons.extend(PROPERTIES.iter().map(|op| (op, NO_PROPERTIES)));
    reasons.extend(LACKING.iter().copied());
    reasons
}

fn semantics(dialect: Dialect) -> Semantics {
    let oc = dialect.has_oc_props();
    Semantics {
        case: Case::Sensitive,
        duplicate_names: false,
        names: NameRules { max_bytes: 255, forbidden: &[], trailing_dot_or_space: true },
        time_precision_micros: if oc { 1_000_000 } else { 0 },
        stable_ids: false,
        hashes: if oc { &[HashKind::Sha1, HashKind::Md5] } else { &[] },
        empty_folders: true,
    }
}

const LIMITS: Limits = Limits {
    max_file_bytes: None,
    account_concurrency: 8,
    service_concurrency: 512,
    account_rate: None,
    max_page: 1_000,
};
