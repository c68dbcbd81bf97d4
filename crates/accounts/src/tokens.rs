//! Tokens of accounts: minted, listed, revoked.

use secrecy::{ExposeSecret as _, SecretString};
use tramontane_model::AccountId;
use tramontane_store::Slice;
use tramontane_store::tokens::{self, Token};
use tramontane_vault::{Mark, hash, mint};

use crate::access::Access;
use crate::directory::Directory;
use crate::error::{Error, Result};

/// What a new token is to be.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// What it may do. `None`: whatever its maker may.
    pub access: Option<Access>,
    /// Granted scopes, space-separated.
    pub scope: String,
    /// What the application calls it.
    pub label: String,
    /// When it ends, in microseconds.
    pub expires: Option<i64>,
}

/// A new token, shown once.
#[derive(Debug)]
pub struct MintedToken {
    /// What is stored of it.
    pub row: Token,
    /// The token.
    pub token: SecretString,
}

impl Directory {
    /// Makes a token for an application's account. `maker` is what the one who asks may do: the token
    /// gets no more.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the application has no such account, [`Error::Invalid`] for `access`
    /// beyond the maker's.
    pub async fn create_token(
        &self,
        application: &str,
        account: AccountId,
        maker: &Access,
        new: NewToken,
    ) -> Result<MintedToken> {
        let access = new.access.unwrap_or_else(|| maker.clone());
        if !maker.covers(&access) {
            return Err(Error::invalid("access", "is more than the API key itself may do"));
        }
        let token = mint(self.0.entropy.as_ref(), Mark::Account);
        let row = Token {
            id: self.marked_id("tok_"),
            account: account.number(),
            hash: hash(token.expose_secret()),
            access: access.to_stored(),
            scope: new.scope,
            label: new.label,
            created: self.now(),
            expires: new.expires,
            revoked: None,
            family: None,
        };
        if !tokens::insert(&self.0.db, application, &row).await? {
            return Err(Error::NotFound("account"));
        }
        Ok(MintedToken { row, token })
    }

    /// An account's tokens that were not revoked, oldest first, and how many there are in all. Check
    /// first that the account is the caller's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tokens(&self, account: AccountId, slice: Slice) -> Result<(Vec<Token>, i64)> {
        let total = tokens::count(&self.0.db, account.number()).await?;
        Ok((tokens::list(&self.0.db, account.number(), slice).await?, total))
    }

    /// Revokes an account's token by its id, and with it all that the same authorization gave. Check
    /// first that the account is the caller's.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_token(&self, account: AccountId, id: &str) -> Result<()> {
        let revoked = tokens::revoke(&self.0.db, account.number(), id, self.now()).await?;
        let (hash, family) = revoked.ok_or(Error::NotFound("token"))?;
        self.0.token_by_hash.forget(&hash);
        if let Some(family) = family {
            self.end_family(&family).await?;
        }
        Ok(())
    }
}
