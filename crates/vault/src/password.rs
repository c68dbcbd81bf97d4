//! Passwords that people choose: argon2id with its own random salt, as a PHC string.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use crate::error::Error;

/// Hashes a password. Costs about 20 MB and tens of milliseconds on purpose: call it where blocking
/// is allowed, and limit how many run at once.
///
/// # Errors
/// [`Error::BadForm`] when the password is longer than argon2 takes (4 GB).
pub fn hash_password(password: &str) -> Result<String, Error> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    Ok(hashed.map_err(|_| Error::BadForm)?.to_string())
}

/// Whether this is the password that was hashed. As slow as [`hash_password`].
///
/// # Errors
/// [`Error::BadPasswordHash`] when the stored text is not a PHC string.
pub fn verify_password(password: &str, stored: &str) -> Result<bool, Error> {
    let parsed = PasswordHash::new(stored).map_err(|_| Error::BadPasswordHash)?;
    Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_opens_and_equal_passwords_have_different_hashes() {
        let stored = hash_password("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify_password("correct horse", &stored).unwrap());
        assert!(!verify_password("correct hors", &stored).unwrap());
        assert_ne!(stored, hash_password("correct horse").unwrap());
        assert_eq!(verify_password("x", "plain"), Err(Error::BadPasswordHash));
    }
}
