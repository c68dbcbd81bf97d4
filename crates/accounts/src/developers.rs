//! Developers and their meta tokens, and the first run.

use secrecy::{ExposeSecret as _, SecretString};
use tramontane_model::AccountId;
use tramontane_store::applications::Application;
use tramontane_store::developers::{self, Developer, MetaToken};
use tramontane_vault::{Mark, hash, mint};

use crate::applications::{NewApplication, NewKey};
use crate::directory::Directory;
use crate::error::{Error, Result};

/// What the first start made. The secrets are shown once.
#[derive(Debug)]
pub struct FirstRun {
    /// The operator, as a developer.
    pub developer: Developer,
    /// The operator's meta token.
    pub meta_token: SecretString,
    /// The first application.
    pub application: Application,
    /// Its API key.
    pub api_key: SecretString,
}

/// A new meta token, shown once.
#[derive(Debug)]
pub struct MintedMeta {
    /// What is stored of it.
    pub row: MetaToken,
    /// The token.
    pub token: SecretString,
}

impl Directory {
    /// Makes the operator's developer, meta token, first application and API key, in one step, when
    /// the database has no developer yet; `None` when it has.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the application's name is not taken; those of the database.
    pub async fn first_run(&self, email: &str, application: &str) -> Result<Option<FirstRun>> {
        let now = self.now();
        let developer = Developer {
            id: self.random_number(),
            email: email.to_owned(),
            first_name: String::new(),
            last_name: String::new(),
            created: now,
            modified: now,
        };
        let meta = self.mint_meta_row(developer.id, "first run", None);
        let new = NewApplication { name: application.to_owned(), ..NewApplication::default() };
        let application = self.application_row(developer.id, new)?;
        let key = self.mint_key_row(&application.id, &NewKey::default())?;
        let made =
            developers::insert_first(&self.0.db, &developer, &meta.row, &application, &key.row)
                .await?;
        Ok(made.then(|| FirstRun {
            developer,
            meta_token: meta.token,
            application,
            api_key: key.key,
        }))
    }

    /// The developer that the first run made (or the oldest): whose the operator's own applications
    /// are.
    ///
    /// # Errors
    /// [`Error::NotFound`] before the first run.
    pub async fn operator(&self) -> Result<Developer> {
        let first = developers::list(&self.0.db, tramontane_store::Slice::first(1)).await?;
        first.into_iter().next().ok_or(Error::NotFound("operator's developer"))
    }

    /// Adds a developer.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the address is in use.
    pub async fn create_developer(
        &self,
        email: &str,
        first_name: &str,
        last_name: &str,
    ) -> Result<Developer> {
        for _ in 0..8 {
            let now = self.now();
            let row = Developer {
                id: self.random_number(),
                email: email.to_owned(),
                first_name: first_name.to_owned(),
                last_name: last_name.to_owned(),
                created: now,
                modified: now,
            };
            match developers::insert(&self.0.db, &row).await {
                Ok(()) => return Ok(row),
                Err(error) if error.is_taken() => {
                    if developers::find_by_email(&self.0.db, email).await?.is_some() {
                        return Err(Error::invalid(
                            "email",
                            "a developer has this address already",
                        ));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended("list of developers"))
    }

    /// Makes a meta token; `expires` in microseconds.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a developer.
    pub async fn create_meta_token(
        &self,
        developer: i64,
        label: &str,
        expires: Option<i64>,
    ) -> Result<MintedMeta> {
        let minted = self.mint_meta_row(developer, label, expires);
        match developers::insert_token(&self.0.db, &minted.row).await {
            Ok(()) => Ok(minted),
            Err(error) if error.is_gone() => Err(Error::NotFound("developer")),
            Err(error) => Err(error.into()),
        }
    }

    /// Revokes a meta token by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the developer has no such token.
    pub async fn revoke_meta_token(&self, developer: i64, id: &str) -> Result<()> {
        let revoked = developers::revoke_token(&self.0.db, developer, id, self.now()).await?;
        let hash = revoked.ok_or(Error::NotFound("meta token"))?;
        self.0.meta_by_hash.forget(&hash);
        Ok(())
    }

    fn mint_meta_row(&self, developer: i64, label: &str, expires: Option<i64>) -> MintedMeta {
        let token = mint(self.0.entropy.as_ref(), Mark::Meta);
        let row = MetaToken {
            id: self.marked_id("mtk_"),
            developer,
            hash: hash(token.expose_secret()),
            label: label.to_owned(),
            created: self.now(),
            expires,
            revoked: None,
        };
        MintedMeta { row, token }
    }

    /// A random number of 31 bits, from 1.
    pub(crate) fn random_number(&self) -> i64 {
        self.random_in(&(1..=i64::from(i32::MAX)))
    }

    /// A random number in a range of account ids. The range is far smaller than 64 bits, so the
    /// remainder's bias does not matter.
    pub(crate) fn random_in(&self, range: &std::ops::RangeInclusive<i64>) -> i64 {
        debug_assert!(AccountId::new(*range.end()).is_some());
        let mut bytes = [0; 8];
        self.0.entropy.fill(&mut bytes);
        let width = range.end().abs_diff(*range.start()).saturating_add(1);
        let step = u64::from_le_bytes(bytes) % width;
        range.start().saturating_add_unsigned(step)
    }
}
