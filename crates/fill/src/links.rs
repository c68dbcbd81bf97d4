//! Links of a service, held to what was asked of them.

use async_trait::async_trait;
use tramontane_connector::{
    Cx, EntryRef, Error, Kind, LinkChange, LinkOptions, Links, Result, ShareLink,
};
use tramontane_model::Op;

use crate::filled::Filled;

fn declined() -> Error {
    Error::declined(Op::LinkCreate)
}

impl Filled {
    fn service_links(&self) -> Result<&dyn Links> {
        self.native().links().ok_or_else(declined)
    }
}

#[async_trait]
impl Links for Filled {
    async fn create(&self, cx: &Cx, of: &EntryRef, how: &LinkOptions) -> Result<ShareLink> {
        // Services differ in what they make of a time that is over.
        if how.expires.is_some_and(|at| at <= cx.now()) {
            return Err(declined());
        }
        let links = self.service_links()?;
        let made = links.create(cx, of, how).await?;
        if made.honours(how) {
            return Ok(made);
        }
        // A plan of the service may leave options out without a word: such a link must not stay.
        match links.delete(cx, of, &made.id).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        if made.access != how.access {
            // A rule of the organisation's, which a link of ours must not go around.
            let text = "The organisation does not let links be made for everyone.";
            return Err(Error::new(Kind::Forbidden, text));
        }
        Err(declined())
    }

    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<ShareLink>> {
        self.service_links()?.list(cx, of).await
    }

    async fn get(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<ShareLink> {
        self.service_links()?.get(cx, of, id).await
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        id: &str,
        change: &LinkChange,
    ) -> Result<ShareLink> {
        if change.expires.flatten().is_some_and(|at| at <= cx.now()) {
            return Err(declined());
        }
        let now = self.service_links()?.change(cx, of, id, change).await?;
        let locked = change.password.as_ref().is_none_or(|new| new.is_some() == now.password);
        let ends = match (change.expires, now.expires) {
            (None, _) | (Some(None), None) => true,
            (Some(Some(asked)), Some(ends)) => ends <= asked,
            _ => false,
        };
        if locked && ends { Ok(now) } else { Err(declined()) }
    }

    async fn delete(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<()> {
        self.service_links()?.delete(cx, of, id).await
    }
}
