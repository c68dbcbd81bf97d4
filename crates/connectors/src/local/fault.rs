//! The disk's errors in the contract's words.

use std::io::{Error as IoError, ErrorKind};

use tramontane_connector::Error;
use tramontane_connector::error::Kind;

/// What an error of the disk means for the object that was named.
pub(super) fn fault(error: IoError) -> Error {
    let looping = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    let (kind, message) = match error.kind() {
        _ if looping => (Kind::NotFound, "The link leads nowhere.".to_owned()),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            (Kind::NotFound, "There is no such file or folder.".to_owned())
        }
        ErrorKind::PermissionDenied => {
            (Kind::Forbidden, "The server may not do this to this file or folder.".to_owned())
        }
        ErrorKind::AlreadyExists => (Kind::Conflict(None), "The name is already taken.".to_owned()),
        ErrorKind::DirectoryNotEmpty => (Kind::NotEmpty, "The folder is not empty.".to_owned()),
        ErrorKind::InvalidFilename => {
            (Kind::Invalid, "name is longer than the disk takes (255 bytes).".to_owned())
        }
        ErrorKind::InvalidInput => (Kind::Invalid, format!("The disk refuses this name: {error}.")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (Kind::Full, "The disk is full.".to_owned())
        }
        ErrorKind::FileTooLarge => {
            (Kind::TooLarge, "The disk takes no file of this size.".to_owned())
        }
        ErrorKind::ReadOnlyFilesystem => (Kind::Forbidden, "The disk is read-only.".to_owned()),
        _ => (Kind::Broken, format!("The disk failed: {error}.")),
    };
    let retry = tramontane_connector::Retry::Never;
    Error::new(kind, message).retry(retry).because(error)
}

/// The same for the folder that something is to be put into.
pub(super) fn parent_fault(error: IoError) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            Error::new(Kind::ParentNotFound, "There is no such folder to put it into.")
        }
        _ => fault(error),
    }
}
