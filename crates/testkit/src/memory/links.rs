//! Share links of the service in memory: one of each kind, with a password and an end as asked for.

use async_trait::async_trait;
use tramontane_connector::{
    Cx, EntryRef, Error, LinkChange, LinkOptions, Links, Result, ShareLink,
};
use tramontane_model::Op;
use url::Url;

use super::Memory;

fn gone() -> Error {
    Error::not_found("There is no such link.")
}

#[async_trait]
impl Links for Memory {
    async fn create(&self, cx: &Cx, of: &EntryRef, how: &LinkOptions) -> Result<ShareLink> {
        self.on(cx, |drive| {
            let id = drive.live(of.kind, &of.id)?;
            let number = drive.fresh();
            let links = &mut drive.get_mut(id)?.links;
            if links.iter().any(|one| (one.access, one.role) == (how.access, how.role)) {
                return Err(Error::declined(Op::LinkCreate));
            }
            let url = Url::parse(&format!("https://memory.example/s/{number}"));
            let link = ShareLink {
                id: number.to_string(),
                url: url.map_err(|cause| Error::internal("no address").because(cause))?,
                access: how.access,
                role: how.role,
                password: how.password.is_some(),
                expires: how.expires,
            };
            links.push(link.clone());
            Ok(link)
        })
    }

    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<ShareLink>> {
        self.on(cx, |drive| Ok(drive.get(drive.live(of.kind, &of.id)?)?.links.clone()))
    }

    async fn get(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<ShareLink> {
        let all = Links::list(self, cx, of).await?;
        all.into_iter().find(|link| link.id == id).ok_or_else(gone)
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        id: &str,
        change: &LinkChange,
    ) -> Result<ShareLink> {
        self.on(cx, |drive| {
            let node = drive.live(of.kind, &of.id)?;
            let links = &mut drive.get_mut(node)?.links;
            let link = links.iter_mut().find(|link| link.id == id).ok_or_else(gone)?;
            if let Some(password) = change.password() {
                link.password = password.is_some();
            }
            if let Some(expires) = change.expires {
                link.expires = expires;
            }
            Ok(link.clone())
        })
    }

    async fn delete(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<()> {
        self.on(cx, |drive| {
            let node = drive.live(of.kind, &of.id)?;
            let links = &mut drive.get_mut(node)?.links;
            let at = links.iter().position(|link| link.id == id).ok_or_else(gone)?;
            links.remove(at);
            Ok(())
        })
    }
}
