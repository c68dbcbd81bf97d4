//! A folder of the server's own machine.

mod disk;
mod fault;
#[cfg(test)]
mod fuzz;
mod path;
mod storage;
mod upload;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use tramontane_connector::changes::Watch;
use tramontane_connector::{
    Category, Connector, Credential, Cx, Descriptor, Error, Field, Identity, Repeat, Result,
    Settings, Storage,
};

pub use storage::LocalStorage;

/// What a local folder is.
static DESCRIPTOR: Descriptor = Descriptor {
    name: "local",
    friendly_name: "Local folder",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[Field {
        operator_only: true,
        ..Field::text("root", "Folder", "The absolute path of a folder on the server's machine.")
            .also(&["path"])
    }],
    documentation: "https://pubs.opengroup.org/onlinepubs/9799919799/",
};

/// Folders of the server's own machine. Nothing outside the folder can be reached, whatever an id, a
/// link or a race says: every path is resolved by the kernel beneath the folder's handle.
#[derive(Clone, Debug, Default)]
pub struct Local {
    storage: Arc<LocalStorage>,
}

#[async_trait]
impl Connector for Local {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn normalize(&self, settings: &mut Settings, _credential: &mut Credential) -> Result<()> {
        let root = settings.get("root").map(String::as_str).unwrap_or_default();
        if !root.starts_with('/') {
            return Err(Error::invalid("root must be an absolute path, like /srv/files."));
        }
        let trimmed = root.trim_end_matches('/');
        let trimmed = if trimmed.is_empty() { "/" } else { trimmed }.to_owned();
        settings.insert("root".into(), trimmed);
        Ok(())
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        let root = cx.account.required_setting("root")?.to_owned();
        cx.call("identify", Repeat::Yes, || {
            let root = root.clone();
            storage::blocking(move || {
                let real = std::fs::canonicalize(&root).map_err(|cause| {
                    Error::invalid(format!("root: the folder {root} cannot be opened: {cause}."))
                })?;
                disk::Disk::open(&root)?;
                Ok(Identity { id: real.display().to_string(), display: root })
            })
        })
        .await
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(self.storage.clone())
    }

    fn hears_at_once(&self) -> bool {
        true
    }

    fn watch(&self, cx: &Cx) -> Result<Option<Box<dyn Watch>>> {
        let root = cx.account.required_setting("root")?;
        Ok(Some(Box::new(watch::FolderWatch::begin(root)?)))
    }
}
