//! Codes, tokens and refresh tokens given (wire API, sections 18.4, 18.7 and 52).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tramontane_model::AccountId;
use tramontane_store::applications::Application;
use tramontane_store::authorizations::{self, Code, RefreshToken};
use tramontane_store::tokens::Token;
use tramontane_vault::{Mark, hash, mint, random_id, same};

use super::{Client, Fault, FaultCode, Request};
use crate::access::Access;
use crate::directory::Directory;
use crate::error::Result;
use crate::tokens::NewToken;

/// Seconds that an authorization code is good for (D19).
pub const CODE_LIFE: i64 = 600;
/// Seconds that an unused refresh token is good for.
const REFRESH_LIFE: i64 = 365 * 86_400;
/// Seconds within which a spent refresh token gives the same successor again.
const GRACE: i64 = 30;
/// Seconds that a spent refresh token is remembered: its reuse ends the family for so long.
const SPENT_KEPT: i64 = 7 * 86_400;
/// What seals a successor.
const SEAL: &str = "rs_";

/// What the token endpoint gives.
#[derive(Debug)]
pub struct Given {
    /// The account token.
    pub token: SecretString,
    /// What was asked for.
    pub scope: String,
    /// Seconds that the token is good for, where it ends.
    pub expires_in: Option<i64>,
    /// What renews it, where it ends.
    pub refresh: Option<SecretString>,
}

/// A code that is to be redeemed.
#[derive(Clone, Copy, Debug)]
pub struct Redeeming<'a> {
    /// The code.
    pub code: &'a str,
    /// As in the first leg, when there was one.
    pub redirect_uri: Option<&'a str>,
    /// The PKCE verifier.
    pub verifier: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct Successor {
    token: String,
    refresh: String,
}

impl Directory {
    /// Makes an authorization code for an account.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn issue_code(
        &self,
        application: &str,
        account: AccountId,
        request: &Request,
    ) -> Result<SecretString> {
        let code = format!("tmc_{}", random_id(self.0.entropy.as_ref(), 32));
        let now = self.now();
        let row = Code {
            hash: hash(&code),
            application: application.to_owned(),
            account: account.number(),
            family: self.marked_id("fam_"),
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            scope: request.scope.clone(),
            access: request.access.clone(),
            used: None,
            created: now,
            expires: now + CODE_LIFE * 1_000_000,
        };
        authorizations::insert_code(&self.0.db, &row).await?;
        Ok(SecretString::from(code))
    }

    /// Makes a token for an account at once (`response_type=token`).
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when the account is gone meanwhile.
    pub async fn issue_token(
        &self,
        application: &Application,
        account: AccountId,
        request: &Request,
    ) -> Result<Given> {
        let life = lifetime(application);
        let new = NewToken {
            access: Some(Access::from_stored(request.access.as_deref())?),
            scope: request.scope.clone(),
            label: String::new(),
            expires: life.map(|seconds| self.now() + seconds * 1_000_000),
        };
        let all = Access::everything();
        let minted = self.create_token(&application.id, account, &all, new).await?;
        Ok(Given { token: minted.token, scope: minted.row.scope, expires_in: life, refresh: None })
    }

    /// Redeems an authorization code.
    ///
    /// # Errors
    /// `invalid_grant` when it is unknown, expired, another client's, was used before (which ends the
    /// tokens that the first use gave), or comes with another redirect URI or a wrong verifier (which
    /// ends the code); `invalid_client` when a client without a secret did not use PKCE.
    pub async fn redeem(
        &self,
        client: &Client,
        asked: Redeeming<'_>,
    ) -> std::result::Result<Given, Fault> {
        let unknown = "The code is not known, has expired, or is another client's.";
        let now = self.now();
        let row = authorizations::find_code(&self.0.db, &hash(asked.code)).await?;
        let row = row.filter(|row| row.application == client.application.id);
        let code = row.ok_or_else(|| Fault::grant(unknown))?;
        if code.used.is_some() {
            return Err(self.reused(&code.family, "code").await?);
        }
        if code.expires <= now {
            return Err(Fault::grant("The code has expired. Codes are good for 10 minutes."));
        }
        if !client.has_secret && code.challenge.is_none() {
            let text =
                "client_secret is required: the authorization request had no code_challenge.";
            return Err(Fault::new(FaultCode::InvalidClient, text));
        }
        if let Err(fault) = fits(&code, asked) {
            authorizations::burn_code(&self.0.db, &code.hash, now).await?;
            return Err(fault);
        }
        let access = given_access(client, code.access.as_deref())?;
        let (token, token_row) = self.token_row(client, &code, access.as_ref());
        let refresh = lifetime(&client.application).map(|_| {
            let row = RefreshToken {
                hash: String::new(),
                application: code.application.clone(),
                account: code.account,
                family: code.family.clone(),
                public_client: !client.has_secret,
                scope: code.scope.clone(),
                access: access.clone(),
                spent: None,
                successor: None,
                created: now,
                expires: now + REFRESH_LIFE * 1_000_000,
            };
            self.with_new_value(row)
        });
        let row = refresh.as_ref().map(|(_, row)| row);
        if !authorizations::redeem_code(&self.0.db, &code, &token_row, row).await? {
            // Another request was faster, which is reuse as well; or the account is gone.
            return Err(self.reused(&code.family, "code").await?);
        }
        Ok(Given {
            token,
            scope: code.scope,
            expires_in: lifetime(&client.application),
            refresh: refresh.map(|(value, _)| value),
        })
    }

    /// Exchanges a refresh token for its successors. Asked again within 30 seconds, it gives the same
    /// ones; later, its reuse ends the family.
    ///
    /// # Errors
    /// `invalid_grant`, `invalid_client`.
    pub async fn refresh(&self, client: &Client, value: &str) -> std::result::Result<Given, Fault> {
        let unknown = "The refresh token is not known, has expired, or is another client's.";
        // A second try is for a race that this one lost: then the winner's answer is given.
        for _ in 0..2 {
            let now = self.now();
            let row = authorizations::find_refresh(&self.0.db, &hash(value)).await?;
            let row = row.filter(|row| row.application == client.application.id);
            let row = row.filter(|row| row.expires > now);
            let row = row.ok_or_else(|| Fault::grant(unknown))?;
            if !client.has_secret && !row.public_client {
                let text = "client_secret is required: the token was given to a client with one.";
                return Err(Fault::new(FaultCode::InvalidClient, text));
            }
            if let Some(spent) = row.spent {
                if spent + GRACE * 1_000_000 <= now {
                    return Err(self.reused(&row.family, "refresh token").await?);
                }
                return self.successor_again(client, &row, spent).await;
            }
            if let Some(given) = self.rotate(client, row, now).await? {
                return Ok(given);
            }
        }
        Err(Fault::grant(unknown))
    }

    async fn rotate(
        &self,
        client: &Client,
        row: RefreshToken,
        now: i64,
    ) -> std::result::Result<Option<Given>, Fault> {
        let access = given_access(client, row.access.as_deref())?;
        let as_code = Code {
            hash: String::new(),
            application: row.application.clone(),
            account: row.account,
            family: row.family.clone(),
            redirect_uri: None,
            challenge: None,
            scope: row.scope.clone(),
            access: row.access.clone(),
            used: None,
            created: now,
            expires: now,
        };
        let (token, token_row) = self.token_row(client, &as_code, access.as_ref());
        let next =
            RefreshToken { created: now, expires: now + REFRESH_LIFE * 1_000_000, ..row.clone() };
        let (refresh, next) = self.with_new_value(next);
        let successor = Successor {
            token: token.expose_secret().to_owned(),
            refresh: refresh.expose_secret().to_owned(),
        };
        let until = self.0.clock.now().plus_seconds(GRACE + 5);
        let sealed = self.0.keys.sealer(SEAL).seal(&row.hash, until, &successor)?;
        let spent = RefreshToken {
            spent: Some(now),
            successor: Some(sealed),
            expires: row.expires.min(now + SPENT_KEPT * 1_000_000),
            ..row
        };
        if !authorizations::rotate(&self.0.db, &spent, &token_row, &next).await? {
            return Ok(None);
        }
        Ok(Some(Given {
            token,
            scope: spent.scope,
            expires_in: lifetime(&client.application),
            refresh: Some(refresh),
        }))
    }

    async fn successor_again(
        &self,
        client: &Client,
        row: &RefreshToken,
        spent: i64,
    ) -> std::result::Result<Given, Fault> {
        let sealed = row.successor.as_deref().unwrap_or_default();
        let sealer = self.0.keys.sealer(SEAL);
        let kept: Successor = self.0.keys.open_token(&sealer, &row.hash, sealed).await?;
        let passed = (self.now() - spent) / 1_000_000;
        Ok(Given {
            token: SecretString::from(kept.token),
            scope: row.scope.clone(),
            expires_in: lifetime(&client.application).map(|life| (life - passed).max(1)),
            refresh: Some(SecretString::from(kept.refresh)),
        })
    }

    fn token_row(
        &self,
        client: &Client,
        code: &Code,
        access: Option<&String>,
    ) -> (SecretString, Token) {
        let token = mint(self.0.entropy.as_ref(), Mark::Account);
        let now = self.now();
        let row = Token {
            id: self.marked_id("tok_"),
            account: code.account,
            hash: hash(token.expose_secret()),
            access: access.cloned(),
            scope: code.scope.clone(),
            label: String::new(),
            created: now,
            expires: lifetime(&client.application).map(|seconds| now + seconds * 1_000_000),
            revoked: None,
            family: Some(code.family.clone()),
        };
        (token, row)
    }

    fn with_new_value(&self, row: RefreshToken) -> (SecretString, RefreshToken) {
        let value = mint(self.0.entropy.as_ref(), Mark::Refresh);
        let hash = hash(value.expose_secret());
        (value, RefreshToken { hash, spent: None, successor: None, ..row })
    }

    /// Ends everything that one authorization gave; gives the words for whoever used it twice.
    async fn reused(&self, family: &str, what: &str) -> Result<Fault> {
        let ended = self.end_family(family).await?;
        tracing::warn!(family, what, ended, "a credential was used twice; its family is ended");
        let text = format!("The {what} was used before. The tokens that came of it are revoked.");
        Ok(Fault::grant(text))
    }

    /// Ends the tokens of one authorization; gives how many account tokens that were.
    pub(crate) async fn end_family(&self, family: &str) -> Result<usize> {
        let hashes = authorizations::revoke_family(&self.0.db, family, self.now()).await?;
        for hash in &hashes {
            self.0.token_by_hash.forget(hash);
        }
        Ok(hashes.len())
    }
}

/// Whether a code comes with what the first leg had.
fn fits(code: &Code, asked: Redeeming<'_>) -> std::result::Result<(), Fault> {
    if code.redirect_uri.as_deref() != asked.redirect_uri {
        let text =
            "redirect_uri must be the one of the authorization request. The code is void now.";
        return Err(Fault::grant(text));
    }
    match (&code.challenge, asked.verifier) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Fault::grant("code_verifier is required. The code is void now.")),
        (Some(challenge), Some(verifier)) => {
            let computed = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
            if same(challenge, &computed) {
                return Ok(());
            }
            let text = "code_verifier does not fit the code_challenge. The code is void now.";
            Err(Fault::grant(text))
        }
    }
}

/// The access list of the token: what was asked for, but no more than a limited key may do.
fn given_access(
    client: &Client,
    asked: Option<&str>,
) -> std::result::Result<Option<String>, Fault> {
    match asked {
        None => Ok(client.access.to_stored()),
        Some(_) => {
            let access = Access::from_stored(asked)?;
            if client.access.covers(&access) {
                return Ok(access.to_stored());
            }
            let text = "The API key itself may do less than the access that was asked for.";
            Err(Fault::new(FaultCode::UnauthorizedClient, text))
        }
    }
}

/// Seconds that tokens of an application are good for, where they end.
fn lifetime(application: &Application) -> Option<i64> {
    application.settings.get("token_lifetime").and_then(serde_json::Value::as_i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(challenge: Option<&str>) -> Code {
        Code {
            hash: String::new(),
            application: String::new(),
            account: 1,
            family: String::new(),
            redirect_uri: Some("https://a.example/cb".into()),
            challenge: challenge.map(str::to_owned),
            scope: String::new(),
            access: None,
            used: None,
            created: 0,
            expires: 0,
        }
    }

    #[test]
    fn the_vector_of_the_specification_fits() {
        let code = code(Some("L-YD3y3f7wZIlQVs0pjhhVapq05WgkvYeYO91PUaAQU"));
        let redeem =
            |verifier| Redeeming { code: "", redirect_uri: Some("https://a.example/cb"), verifier };
        let right = "tramontane-example-verifier-0123456789-abcdefghijk";
        assert!(fits(&code, redeem(Some(right))).is_ok());
        assert!(fits(&code, redeem(Some("tramontane-example-verifier"))).is_err());
        assert!(fits(&code, redeem(None)).is_err());
        let elsewhere = Redeeming { redirect_uri: None, ..redeem(Some(right)) };
        assert!(fits(&code, elsewhere).is_err());
    }
}
