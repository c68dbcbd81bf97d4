//! SFTP's and SSH's errors in the contract's words.

use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::StatusCode;
use tramontane_connector::error::Kind;
use tramontane_connector::{Error, Retry};

/// What a refusal of the server means for the object that was named
/// (draft-ietf-secsh-filexfer-02 section 7).
pub(super) fn fault(error: SftpError) -> Error {
    match error {
        SftpError::Status(status) => {
            let said = status.error_message.clone();
            let lower = said.to_ascii_lowercase();
            let (kind, message) = match status.status_code {
                StatusCode::NoSuchFile => (Kind::NotFound, "There is no such file or folder."),
                StatusCode::PermissionDenied => {
                    (Kind::Forbidden, "The server does not allow this.")
                }
                StatusCode::OpUnsupported => (Kind::Broken, "The server cannot do this."),
                StatusCode::NoConnection | StatusCode::ConnectionLost => {
                    return lost("The connection to the server was lost.");
                }
                StatusCode::Failure if lower.contains("quota") || lower.contains("space") => {
                    (Kind::Full, "The server's disk is full.")
                }
                StatusCode::Failure if lower.contains("too long") => {
                    (Kind::Invalid, "name is longer than the server takes.")
                }
                _ => (Kind::Broken, "The server refused without a reason."),
            };
            Error::new(kind, message)
                .retry(Retry::Never)
                .said(Some(&status.status_code.to_string()), Some(&said))
        }
        SftpError::Timeout => Error::new(Kind::Timeout, "The server did not answer in time."),
        SftpError::Limited(what) => {
            Error::internal(format!("A limit of the server was not kept: {what}."))
        }
        SftpError::IO(what) | SftpError::UnexpectedBehavior(what) => {
            lost(&format!("The connection to the server was lost: {what}."))
        }
        SftpError::UnexpectedPacket => Error::new(Kind::Broken, "The server answered nonsense."),
    }
}

/// Whether this answer says that something is not there, or is of another kind than asked for.
pub(super) fn is_refusal(error: &SftpError) -> bool {
    matches!(error, SftpError::Status(status) if status.status_code == StatusCode::Failure)
}

/// Whether the connection is of no use any more.
pub(super) fn is_lost(error: &Error) -> bool {
    error.kind == Kind::Broken && error.retry == Retry::Soon || error.kind == Kind::Timeout
}

fn lost(message: &str) -> Error {
    Error::new(Kind::Broken, message).retry(Retry::Soon)
}
