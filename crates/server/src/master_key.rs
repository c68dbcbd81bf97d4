//! The master key: from a setting or a file, made on first start.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Config;

/// The text of the master key in force: from the setting, else from its file. With `create`, a
/// missing file is made, readable by its owner alone.
///
/// # Errors
/// When there is no key and none may be made, or the file cannot be read or written.
pub fn load(
    config: &Config,
    create: impl FnOnce() -> Option<SecretString>,
) -> anyhow::Result<SecretString> {
    if !config.settings.master_key.expose_secret().is_empty() {
        return Ok(config.settings.master_key.clone());
    }
    let path = config.master_key_file();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(SecretString::from(text.trim())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match create() {
            Some(key) => {
                write_new(&path, &key)?;
                Ok(key)
            }
            None => bail!(
                "There is no master key at {}. `tramontane serve` makes one on first start; if this \
                 server had one before, put it back: without it no credential can be opened.",
                path.display()
            ),
        },
        Err(error) => {
            Err(error).with_context(|| format!("The master key {} cannot be read", path.display()))
        }
    }
}

fn write_new(path: &Path, key: &SecretString) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .open(path)
        .with_context(|| format!("The master key {} cannot be written", path.display()))?;
    writeln!(file, "{}", key.expose_secret())?;
    file.sync_all()?;
    Ok(())
}

/// Makes the data directory, open to its owner alone.
///
/// # Errors
/// When it cannot be made.
pub fn make_data_dir(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .with_context(|| format!("The data directory {} cannot be made", path.display()))
}
