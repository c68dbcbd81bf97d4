//! A connection to a server: signed in, host key checked, SFTP begun, kept and shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult};
use russh::keys::ssh_key::{Fingerprint, HashAlg, PublicKey};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh_sftp::client::RawSftpSession;
use russh_sftp::extensions;
use tokio::sync::Semaphore;
use tramontane_connector::error::Kind;
use tramontane_connector::{Cx, Error, Result, Retry};

use super::fault::fault;

/// Handles that one connection opens at once. OpenSSH names handles by number in raw bytes, and the
/// SFTP library reads them as text, which holds for numbers below 128.
const MAX_HANDLES: usize = 100;
/// Seconds that the server may take for one answer.
const ANSWER_SECONDS: u64 = 60;
/// The extension with which OpenSSH renames over what is there (PROTOCOL, section 4.3).
const POSIX_RENAME: &str = "posix-rename@openssh.com";

/// An open connection.
pub(super) struct Link {
    session: client::Handle<Door>,
    sftp: Arc<RawSftpSession>,
    base: String,
    host_key: String,
    extensions: HashMap<String, String>,
    handles: Arc<Semaphore>,
    read_len: u32,
    write_len: u32,
}

impl Link {
    pub(super) fn sftp(&self) -> &Arc<RawSftpSession> {
        &self.sftp
    }

    /// The account's folder, as the server writes it.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn host_key(&self) -> &str {
        &self.host_key
    }

    pub(super) fn handles(&self) -> &Arc<Semaphore> {
        &self.handles
    }

    /// The most bytes of one read.
    pub(super) fn read_len(&self) -> u32 {
        self.read_len
    }

    /// The most bytes of one write.
    pub(super) fn write_len(&self) -> u32 {
        self.write_len
    }

    pub(super) fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    pub(super) fn can_rename_over(&self) -> bool {
        self.extensions.contains_key(POSIX_RENAME)
    }

    pub(super) fn can_link(&self) -> bool {
        self.extensions.contains_key(extensions::HARDLINK)
    }

    pub(super) fn tells_space(&self) -> bool {
        self.extensions.contains_key(extensions::STATVFS)
    }

    /// Renames over what is there, in one step.
    pub(super) async fn rename_over(&self, from: &str, to: &str) -> Result<()> {
        let mut data = Vec::new();
        for path in [from, to] {
            let len = u32::try_from(path.len()).map_err(|_| Error::invalid("name is too long."))?;
            data.extend_from_slice(&len.to_be_bytes());
            data.extend_from_slice(path.as_bytes());
        }
        match self.sftp.extended(POSIX_RENAME, data).await.map_err(fault)? {
            russh_sftp::protocol::Packet::Status(status)
                if status.status_code == russh_sftp::protocol::StatusCode::Ok =>
            {
                Ok(())
            }
            russh_sftp::protocol::Packet::Status(status) => {
                Err(fault(russh_sftp::client::error::Error::Status(status)))
            }
            _ => Err(Error::new(Kind::Broken, "The server answered nonsense.")),
        }
    }

    /// Connects and signs in.
    pub(super) async fn open(cx: &Cx) -> Result<Self> {
        let account = &cx.account;
        let host = account.required_setting("host")?;
        let port: u16 = account.setting("port").unwrap_or("22").parse().unwrap_or(22);
        let user = account.required_setting("username")?;
        let expected = account.setting("host_key").map(fingerprint).transpose()?;
        let stream = cx.lent.connect(cx, host, port).await?;
        let seen = Arc::new(OnceLock::new());
        let door = Door { expected: expected.clone(), seen: Arc::clone(&seen) };
        let config = client::Config {
            window_size: 4 << 20,
            inactivity_timeout: Some(Duration::from_secs(600)),
            keepalive_interval: Some(Duration::from_secs(30)),
            ..client::Config::default()
        };
        let session = client::connect_stream(Arc::new(config), stream, door).await;
        let mut session = session.map_err(|cause| {
            let shown = seen.get().cloned().unwrap_or_default();
            match (&expected, cause) {
                (Some(wanted), russh::Error::UnknownKey) => Error::new(
                    Kind::Credential,
                    format!(
                        "{host} shows another host key ({shown}) than the one remembered ({wanted}). If the server \
                         was set up anew, connect the account again with the new host_key; if not, someone \
                         stands between."
                    ),
                ),
                (_, cause) => {
                    let text = format!("{host}:{port} does not speak SSH as expected: {cause}.");
                    Error::new(Kind::Unavailable, text).because(cause)
                }
            }
        })?;
        sign_in(&mut session, cx, user).await?;
        let channel = session.channel_open_session().await.map_err(|cause| unusable(&cause))?;
        channel.request_subsystem(true, "sftp").await.map_err(|cause| unusable(&cause))?;
        let config = russh_sftp::client::Config {
            request_timeout_secs: ANSWER_SECONDS,
            ..russh_sftp::client::Config::default()
        };
        let sftp = RawSftpSession::new_with_config(channel.into_stream(), config);
        let version = sftp.init().await.map_err(fault)?;
        let (mut read_len, mut write_len) = (32_768, 32_768);
        if version.extensions.contains_key(extensions::LIMITS)
            && let Ok(limits) = sftp.limits().await
        {
            // More than this wins nothing and costs memory.
            let most = |len: u64| u32::try_from(len.clamp(4_096, 131_072)).unwrap_or(32_768);
            if limits.max_read_len > 0 {
                read_len = most(limits.max_read_len);
            }
            if limits.max_write_len > 0 {
                write_len = most(limits.max_write_len);
            }
        }
        let start = account.setting("root").unwrap_or(".");
        let real = sftp.realpath(start).await.map_err(|error| root_fault(start, fault(error)))?;
        let base = real.files.into_iter().next().map(|file| file.filename).unwrap_or_default();
        let base = if base.len() > 1 { base.trim_end_matches('/').to_owned() } else { base };
        let found =
            sftp.stat(base.clone()).await.map_err(|error| root_fault(start, fault(error)))?;
        if !base.starts_with('/') || !found.attrs.file_type().is_dir() {
            return Err(Error::invalid(format!("root: {start} is no folder at the server.")));
        }
        Ok(Self {
            session,
            sftp: Arc::new(sftp),
            base,
            host_key: seen.get().cloned().unwrap_or_default(),
            extensions: version.extensions,
            handles: Arc::new(Semaphore::new(MAX_HANDLES)),
            read_len,
            write_len,
        })
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("base", &self.base).finish_non_exhaustive()
    }
}

fn root_fault(start: &str, error: Error) -> Error {
    if error.is_not_found() {
        return Error::invalid(format!("root: there is no folder {start} at the server."));
    }
    error
}

fn unusable(cause: &russh::Error) -> Error {
    let text = format!("The server lets the user in, but offers no SFTP: {cause}.");
    Error::new(Kind::Unavailable, text).retry(Retry::Never)
}

async fn sign_in(session: &mut client::Handle<Door>, cx: &Cx, user: &str) -> Result<()> {
    let credential = &cx.account.credential;
    let failed = |cause: russh::Error| {
        Error::new(Kind::Unavailable, format!("Signing in broke off: {cause}.")).because(cause)
    };
    if let Some(text) = credential.get("private_key") {
        let key = Arc::new(read_key(text, credential.get("passphrase"))?);
        let hash = session.best_supported_rsa_hash().await.map_err(failed)?.flatten();
        let key = PrivateKeyWithHashAlg::new(key, hash);
        if session.authenticate_publickey(user, key).await.map_err(failed)?.success() {
            return Ok(());
        }
    }
    if let Some(password) = credential.get("password") {
        let answer = session.authenticate_password(user, password).await.map_err(failed)?;
        if answer.success() || by_prompt(session, user, password, &answer).await? {
            return Ok(());
        }
    }
    Err(Error::new(
        Kind::Credential,
        format!("The server does not let {user} in: the user name, password or key is wrong."),
    ))
}

/// Some servers take passwords only as the answer to a prompt (RFC 4256).
async fn by_prompt(
    session: &mut client::Handle<Door>,
    user: &str,
    password: &str,
    refused: &AuthResult,
) -> Result<bool> {
    use russh::client::KeyboardInteractiveAuthResponse as Answer;
    let AuthResult::Failure { remaining_methods, .. } = refused else { return Ok(true) };
    if !remaining_methods.contains(&russh::MethodKind::KeyboardInteractive) {
        return Ok(false);
    }
    let failed = |cause: russh::Error| {
        Error::new(Kind::Unavailable, format!("Signing in broke off: {cause}.")).because(cause)
    };
    let mut answer =
        session.authenticate_keyboard_interactive_start(user, None).await.map_err(failed)?;
    // A server asks once or twice; one that goes on asking is not answered for ever.
    for _ in 0..4 {
        match answer {
            Answer::Success => return Ok(true),
            Answer::Failure { .. } => return Ok(false),
            Answer::InfoRequest { prompts, .. } => {
                let words = prompts.iter().map(|_| password.to_owned()).collect();
                answer = session
                    .authenticate_keyboard_interactive_respond(words)
                    .await
                    .map_err(failed)?;
            }
        }
    }
    Ok(false)
}

/// Reads a private key.
pub(super) fn read_key(text: &str, passphrase: Option<&str>) -> Result<PrivateKey> {
    russh::keys::decode_secret_key(text, passphrase).map_err(|cause| {
        Error::invalid(format!(
            "private_key cannot be read: {cause}. It must be a whole key in OpenSSH or PEM form, and the passphrase \
             must open it."
        ))
    })
}

/// Brings a host key into the form that is compared: `SHA256:...`. Takes that form, a public key, or a
/// line of known_hosts.
pub(super) fn fingerprint(text: &str) -> Result<String> {
    let bad = || {
        Error::invalid(
            "host_key must be SHA256:... (as ssh-keygen -l prints it) or a line of known_hosts.",
        )
    };
    let text = text.trim();
    if text.starts_with("SHA256:") {
        let known: Fingerprint = text.parse().map_err(|_| bad())?;
        return Ok(known.to_string());
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let start = words.iter().position(|word| {
        word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-")
    });
    let rest = start.and_then(|start| words.get(start..start + 2)).ok_or_else(bad)?;
    let key = PublicKey::from_openssh(&rest.join(" ")).map_err(|_| bad())?;
    Ok(key.fingerprint(HashAlg::Sha256).to_string())
}

/// Looks at the server's key.
pub(super) struct Door {
    expected: Option<String>,
    seen: Arc<OnceLock<String>>,
}

impl client::Handler for Door {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> std::result::Result<bool, Self::Error> {
        let shown = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let fine = self.expected.as_ref().is_none_or(|expected| *expected == shown);
        let _ = self.seen.set(shown);
        Ok(fine)
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Link>>>>;

/// One connection per account, opened when it is needed and kept while it lives.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<HashMap<(i64, i64), Slot>>);

/// Connections that are kept at most; beyond, those that nobody uses are closed.
const MOST_KEPT: usize = 512;

impl Links {
    /// The account's connection, opened if need be.
    pub(super) async fn get(&self, cx: &Cx) -> Result<Arc<Link>> {
        let slot = self.slot((cx.account.id.number(), cx.account.revision));
        let mut held = slot.lock().await;
        match &*held {
            Some(link) if !link.is_closed() => Ok(Arc::clone(link)),
            _ => {
                let link = Arc::new(Link::open(cx).await?);
                *held = Some(Arc::clone(&link));
                Ok(link)
            }
        }
    }

    /// Lets go of a connection that turned out to be broken.
    pub(super) async fn drop_link(&self, cx: &Cx, broken: &Arc<Link>) {
        let slot = self.slot((cx.account.id.number(), cx.account.revision));
        let mut held = slot.lock().await;
        if held.as_ref().is_some_and(|link| Arc::ptr_eq(link, broken)) {
            *held = None;
        }
    }

    fn slot(&self, key: (i64, i64)) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST_KEPT && !slots.contains_key(&key) {
            slots.retain(|_, slot| match slot.try_lock() {
                Ok(held) => held.as_ref().is_some_and(|link| Arc::strong_count(link) > 1),
                Err(_) => true,
            });
        }
        // An older revision of the same account is of no use any more.
        slots.retain(|(id, revision), _| *id != key.0 || *revision >= key.1 || key.1 < 0);
        Arc::clone(slots.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_host_keys_in_every_usual_form() -> Result<()> {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let print = fingerprint(key)?;
        assert!(print.starts_with("SHA256:"));
        assert_eq!(fingerprint(&format!("[files.example.com]:2222 {key} comment"))?, print);
        assert_eq!(fingerprint(&print)?, print);
        for bad in ["", "SHA256:", "MD5:aa:bb", "hello", "ssh-ed25519", "ssh-ed25519 AAAA"] {
            assert!(fingerprint(bad).is_err(), "{bad}");
        }
        Ok(())
    }
}
