//! The table of gaps: what is built from what, and the support of every operation that follows.

use std::collections::BTreeMap;

use tramontane_connector::Abilities;
use tramontane_model::{Op, Ops, Reason, Support};

/// One gap and how it is filled.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// The operation that a service may lack.
    pub op: Op,
    /// What it is built from. All of these must be supported, natively or filled in themselves.
    pub needs: &'static [Op],
    /// What is told to who asks.
    pub reason: Reason,
    /// The rule in one line, for the documentation.
    pub how: &'static str,
}

const fn gap(
    op: Op,
    needs: &'static [Op],
    code: &'static str,
    message: &'static str,
    how: &'static str,
) -> Gap {
    Gap { op, needs, reason: Reason { code, message }, how }
}

/// Every gap that is filled. An operation may have several rows; the first that holds counts.
pub const GAPS: &[Gap] = &[
    gap(
        Op::FileCreateUnsized,
        &[Op::FileCreate],
        "spooled",
        "Content of unknown length is spooled before it is sent.",
        "spool to a temporary file, then create",
    ),
    gap(
        Op::FileUpdate,
        &[Op::FileCreate, Op::FileRead],
        "streamed_copy",
        "The file is written again under its name.",
        "look up name and folder, create with replace",
    ),
    gap(
        Op::FileRange,
        &[Op::FileDownload],
        "computed",
        "The content is read from its beginning and the rest is skipped.",
        "skip on the stream",
    ),
    gap(
        Op::FileHash,
        &[Op::FileDownload],
        "computed",
        "The hash is computed while the content is read.",
        "read and compute",
    ),
    gap(
        Op::FileThumbnail,
        &[Op::FileDownload, Op::FileRead],
        "computed",
        "The picture is made from the file's content, for JPEG, PNG, GIF, WebP and BMP.",
        "read, decode within limits, scale",
    ),
    gap(
        Op::FileCopy,
        &[Op::FileDownload, Op::FileCreate],
        "streamed_copy",
        "Copied by download and upload.",
        "read the source and write it again, verified by size and hash",
    ),
    gap(
        Op::FolderCopy,
        &[Op::FolderCreate, Op::FolderList, Op::FileCopy],
        "walk",
        "Copied one file after the other.",
        "walk the source, make folders, copy files",
    ),
    gap(
        Op::FileRename,
        &[Op::FileCopy, Op::FileDelete],
        "copy_and_delete",
        "Copied under the new name, then deleted. The id changes.",
        "copy, verify, delete the source",
    ),
    gap(
        Op::FileMove,
        &[Op::FileCopy, Op::FileDelete],
        "copy_and_delete",
        "Copied to the new folder, then deleted. The id changes.",
        "copy, verify, delete the source",
    ),
    gap(
        Op::FolderRename,
        &[Op::FolderCopy, Op::FileDelete, Op::FolderDelete],
        "copy_and_delete",
        "Copied under the new name, then deleted. The ids change.",
        "copy, verify, delete the source",
    ),
    gap(
        Op::FolderMove,
        &[Op::FolderCopy, Op::FileDelete, Op::FolderDelete],
        "copy_and_delete",
        "Copied to the new folder, then deleted. The ids change.",
        "copy, verify, delete the source",
    ),
    gap(
        Op::FolderDelete,
        &[Op::FolderList, Op::FileDelete],
        "walk",
        "Deleted one object after the other, the deepest first.",
        "ordered walk, the deepest first",
    ),
    gap(
        Op::FolderListRecursively,
        &[Op::FolderList],
        "walk",
        "Listed one folder after the other.",
        "walk with a cursor that holds the folders still to come",
    ),
    gap(
        Op::SearchName,
        &[Op::FolderListRecursively],
        "walk",
        "Names are compared with what the activity feed remembers, else while all folders are listed.",
        "walk, names that contain the words, ignoring case",
    ),
    gap(
        Op::RecentList,
        &[Op::FolderListRecursively],
        "walk",
        "The newest files are those that the activity feed noticed, else all folders are listed.",
        "bounded walk, the newest files by modification time",
    ),
    gap(
        Op::MultipartCreate,
        &[Op::FileCreate],
        "spooled",
        "Parts are kept by Tramontane and sent as one file in the end.",
        "spool the parts, create when the session is finished",
    ),
    gap(
        Op::UploadUrlCreate,
        &[Op::FileCreate],
        "hosted",
        "The upload goes through a one-time URL of Tramontane.",
        "a URL of Tramontane that writes the file",
    ),
    gap(
        Op::LinkCreate,
        &[Op::FileDownload],
        "hosted",
        "The link is served by Tramontane.",
        "a page of Tramontane that reads the file",
    ),
];

/// The operations of the unified API that this table speaks of: files, folders, and passing through.
pub fn storage_ops() -> impl Iterator<Item = Op> {
    Op::ALL.iter().copied().filter(|op| op.as_str().starts_with("storage.") || *op == Op::Raw)
}

/// What can be done in the end, natively or filled in: the fixpoint of [`GAPS`] over what is native.
#[must_use]
pub fn reachable(native: Ops) -> Ops {
    let mut all = native;
    loop {
        let next = GAPS
            .iter()
            .filter(|gap| gap.needs.iter().all(|need| all.has(*need)))
            .fold(all, |ops, gap| ops.with(gap.op));
        if next == all {
            return all;
        }
        all = next;
    }
}

/// How one operation is supported.
#[must_use]
pub fn support_of(abilities: &Abilities, op: Op) -> Support {
    if abilities.native.has(op) {
        return Support::Native;
    }
    let all = reachable(abilities.native);
    let row = GAPS.iter().find(|gap| gap.op == op && gap.needs.iter().all(|need| all.has(*need)));
    row.map_or_else(
        || Support::Unsupported(abilities.reason(op)),
        |gap| Support::Emulated(gap.reason),
    )
}

/// How every operation on files and folders is supported.
#[must_use]
pub fn support(abilities: &Abilities) -> BTreeMap<Op, Support> {
    storage_ops().map(|op| (op, support_of(abilities, op))).collect()
}
