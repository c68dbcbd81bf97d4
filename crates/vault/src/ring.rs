//! The ring of data keys: what seals is the active one, what opens is any of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::cipher::{self, SALT_BYTES};
use crate::error::Error;
use crate::master::MasterKey;
use crate::random::{Entropy, SystemEntropy};

const VERSION: u8 = 1;
const ID_BYTES: usize = 8;
const HEADER_BYTES: usize = 1 + ID_BYTES + SALT_BYTES;
const WRAP: &str = "wrap";

/// The name of a data key: 8 random bytes, 16 hex digits in text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID_BYTES]);

impl KeyId {
    /// Reads 16 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A data key as the database keeps it: sealed under a master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The key's name, 16 hex digits.
    pub id: String,
    /// Fingerprint of the master key that wraps it.
    pub master: String,
    /// The sealed key.
    pub wrapped: Vec<u8>,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct DataKey([u8; 32]);

/// The data keys in force. Immutable: a change makes a new ring (see [`SharedRing`]).
#[derive(Clone)]
pub struct KeyRing {
    keys: HashMap<KeyId, DataKey>,
    active: KeyId,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, active {})", self.keys.len(), self.active)
    }
}

impl WrappedKey {
    /// A new random data key, wrapped by `master`.
    ///
    /// # Errors
    /// None that can happen with a well-formed master key.
    pub fn generate(master: &MasterKey, entropy: &dyn Entropy) -> Result<Self, Error> {
        let mut id = [0; ID_BYTES];
        entropy.fill(&mut id);
        let mut key = DataKey([0; 32]);
        entropy.fill(&mut key.0);
        wrap(KeyId(id), &key, master, entropy)
    }

    /// The same data key, wrapped by `master` instead: what changing the master key does.
    ///
    /// # Errors
    /// As [`KeyRing::open_keys`].
    pub fn rewrap(
        &self,
        known: &[MasterKey],
        master: &MasterKey,
        entropy: &dyn Entropy,
    ) -> Result<Self, Error> {
        let (id, key) = unwrap(self, known)?;
        wrap(id, &key, master, entropy)
    }
}

fn wrap(
    id: KeyId,
    key: &DataKey,
    master: &MasterKey,
    entropy: &dyn Entropy,
) -> Result<WrappedKey, Error> {
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    let aad = cipher::bind(&[&[VERSION], &id.0]);
    let sealed = cipher::seal(master.bytes(), WRAP, &salt, &aad, &key.0)?;
    let mut wrapped = vec![VERSION];
    wrapped.extend_from_slice(&salt);
    wrapped.extend_from_slice(&sealed);
    Ok(WrappedKey { id: id.to_string(), master: master.fingerprint(), wrapped })
}

fn unwrap(stored: &WrappedKey, known: &[MasterKey]) -> Result<(KeyId, DataKey), Error> {
    let id = KeyId::parse(&stored.id).ok_or(Error::BadForm)?;
    let Some(master) = known.iter().find(|master| master.fingerprint() == stored.master) else {
        return Err(Error::UnknownMasterKey {
            id: stored.id.clone(),
            master: stored.master.clone(),
        });
    };
    let (&version, rest) = stored.wrapped.split_first().ok_or(Error::Tampered)?;
    let (salt, sealed) = rest.split_first_chunk::<SALT_BYTES>().ok_or(Error::Tampered)?;
    let aad = cipher::bind(&[&[version], &id.0]);
    let key = cipher::open(master.bytes(), WRAP, salt, &aad, sealed)?;
    let key = <[u8; 32]>::try_from(key.as_slice()).map_err(|_| Error::Tampered)?;
    Ok((id, DataKey(key)))
}

impl KeyRing {
    /// Opens the stored data keys with the master keys at hand (the present one and former ones).
    ///
    /// # Errors
    /// [`Error::UnknownMasterKey`] when a key was wrapped by none of them, [`Error::NoActiveKey`]
    /// when `active` is not among the keys, [`Error::Tampered`] when a wrapped key is damaged.
    pub fn open_keys(
        stored: &[WrappedKey],
        active: &str,
        masters: &[MasterKey],
    ) -> Result<Self, Error> {
        let mut keys = HashMap::with_capacity(stored.len());
        for wrapped in stored {
            let (id, key) = unwrap(wrapped, masters)?;
            keys.insert(id, key);
        }
        let missing = || Error::NoActiveKey(active.to_owned());
        let active = KeyId::parse(active).ok_or_else(missing)?;
        if !keys.contains_key(&active) {
            return Err(missing());
        }
        Ok(Self { keys, active })
    }

    /// The key that seals.
    #[must_use]
    pub fn active(&self) -> KeyId {
        self.active
    }

    /// The keys that open.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.keys().copied()
    }

    /// Seals under the active key. `context` names the place the value is kept in
    /// (`account:412345678:credential`) and must be given again to open it.
    ///
    /// # Errors
    /// [`Error::BadForm`] when the plaintext is longer than AES-GCM takes (64 GB).
    pub fn seal(&self, plaintext: &[u8], context: &str) -> Result<Vec<u8>, Error> {
        self.seal_for("value", plaintext, context.as_bytes(), &SystemEntropy)
    }

    /// Opens what [`KeyRing::seal`] made for the same context.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] when its key is not in this ring (reload it and try again),
    /// [`Error::Tampered`] when the bytes were altered or belong to another context.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.open_for("value", sealed, context.as_bytes())
    }

    /// Seals again under the active key; `None` when it already is.
    ///
    /// # Errors
    /// As [`KeyRing::open`].
    pub fn reseal(&self, sealed: &[u8], context: &str) -> Result<Option<Vec<u8>>, Error> {
        if Self::key_of(sealed) == Some(self.active) {
            return Ok(None);
        }
        let plaintext = self.open(sealed, context)?;
        self.seal(&plaintext, context).map(Some)
    }

    /// Which key a sealed value needs; `None` when it is not a sealed value.
    #[must_use]
    pub fn key_of(sealed: &[u8]) -> Option<KeyId> {
        let (&version, rest) = sealed.split_first()?;
        let (id, _) = rest.split_first_chunk::<ID_BYTES>()?;
        (version == VERSION && sealed.len() > HEADER_BYTES).then_some(KeyId(*id))
    }

    pub(crate) fn seal_for(
        &self,
        purpose: &str,
        plaintext: &[u8],
        context: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, Error> {
        let missing = || Error::NoActiveKey(self.active.to_string());
        let key = self.keys.get(&self.active).ok_or_else(missing)?;
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt);
        let aad = cipher::bind(&[&[VERSION], &self.active.0, context]);
        let ciphertext = cipher::seal(&key.0, purpose, &salt, &aad, plaintext)?;
        let mut sealed = Vec::with_capacity(HEADER_BYTES + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.active.0);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    pub(crate) fn open_for(
        &self,
        purpose: &str,
        sealed: &[u8],
        context: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (&version, rest) = sealed.split_first().ok_or(Error::Tampered)?;
        if version != VERSION {
            return Err(Error::Tampered);
        }
        let (id, rest) = rest.split_first_chunk::<ID_BYTES>().ok_or(Error::Tampered)?;
        let (salt, ciphertext) = rest.split_first_chunk::<SALT_BYTES>().ok_or(Error::Tampered)?;
        let id = KeyId(*id);
        let key = self.keys.get(&id).ok_or_else(|| Error::UnknownKey(id.to_string()))?;
        let aad = cipher::bind(&[&[version], &id.0, context]);
        cipher::open(&key.0, purpose, salt, &aad, ciphertext)
    }
}

/// The ring that many hold: reading takes what is there now, a reload replaces it for all.
#[derive(Clone, Debug)]
pub struct SharedRing(Arc<RwLock<Arc<KeyRing>>>);

impl SharedRing {
    /// Shares a ring.
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(ring))))
    }

    /// The ring as it is now.
    #[must_use]
    pub fn get(&self) -> Arc<KeyRing> {
        // A poisoned lock still holds a whole ring: it is only ever replaced in one step.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the ring for every holder.
    pub fn set(&self, ring: KeyRing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn master() -> MasterKey {
        MasterKey::generate(&SystemEntropy)
    }

    fn ring_of(keys: &[WrappedKey], active: usize, masters: &[MasterKey]) -> KeyRing {
        KeyRing::open_keys(keys, &keys[active].id, masters).unwrap()
    }

    #[test]
    fn opens_what_it_sealed_in_its_place_only() {
        let master = master();
        let key = WrappedKey::generate(&master, &SystemEntropy).unwrap();
        let ring = ring_of(&[key], 0, &[master]);
        let sealed = ring.seal(b"secret", "account:1:credential").unwrap();
        assert_eq!(&ring.open(&sealed, "account:1:credential").unwrap()[..], b"secret");
        assert_eq!(ring.open(&sealed, "account:2:credential").err(), Some(Error::Tampered));
        assert_ne!(sealed, ring.seal(b"secret", "account:1:credential").unwrap());
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn every_altered_or_missing_byte_is_noticed() {
        let master = master();
        let key = WrappedKey::generate(&master, &SystemEntropy).unwrap();
        let ring = ring_of(&[key], 0, &[master]);
        let sealed = ring.seal(b"secret", "here").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(ring.open(&altered, "here").is_err(), "byte {at}");
            assert!(ring.open(&sealed[..at], "here").is_err(), "cut at {at}");
        }
    }

    #[test]
    fn rotation_keeps_old_values_readable_and_reseals_them_under_the_new_key() {
        let master = master();
        let old = WrappedKey::generate(&master, &SystemEntropy).unwrap();
        let new = WrappedKey::generate(&master, &SystemEntropy).unwrap();
        let before = ring_of(std::slice::from_ref(&old), 0, std::slice::from_ref(&master));
        let sealed = before.seal(b"secret", "here").unwrap();
        let during = ring_of(&[old, new.clone()], 1, std::slice::from_ref(&master));
        assert_eq!(&during.open(&sealed, "here").unwrap()[..], b"secret");
        let resealed = during.reseal(&sealed, "here").unwrap().unwrap();
        assert_eq!(during.reseal(&resealed, "here").unwrap(), None);
        let after = ring_of(&[new], 0, &[master]);
        assert_eq!(&after.open(&resealed, "here").unwrap()[..], b"secret");
        assert_eq!(
            after.open(&sealed, "here").err(),
            Some(Error::UnknownKey(before.active().to_string()))
        );
    }

    #[test]
    fn a_changed_master_key_rewraps_data_keys_without_touching_values() {
        let (first, second) = (master(), master());
        let key = WrappedKey::generate(&first, &SystemEntropy).unwrap();
        let sealed =
            ring_of(std::slice::from_ref(&key), 0, std::slice::from_ref(&first)).seal(b"s", "c");
        let known = [second.clone(), first.clone()];
        let rewrapped = key.rewrap(&known, &second, &SystemEntropy).unwrap();
        assert_eq!(rewrapped.id, key.id);
        assert_eq!(rewrapped.master, second.fingerprint());
        let ring = ring_of(std::slice::from_ref(&rewrapped), 0, &[second]);
        assert_eq!(&ring.open(&sealed.unwrap(), "c").unwrap()[..], b"s");
        let refused = KeyRing::open_keys(&[rewrapped], &key.id, &[first]).err().unwrap();
        assert!(matches!(refused, Error::UnknownMasterKey { .. }));
    }

    #[test]
    fn a_wrapped_key_cannot_take_another_keys_name() {
        let master = master();
        let one = WrappedKey::generate(&master, &SystemEntropy).unwrap();
        let two = WrappedKey::generate(&master, &SystemEntropy).unwrap();
        let swapped = WrappedKey { id: one.id.clone(), ..two };
        assert_eq!(KeyRing::open_keys(&[swapped], &one.id, &[master]).err(), Some(Error::Tampered));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_on_foreign_bytes(bytes: Vec<u8>, context: String) {
            let master = master();
            let key = WrappedKey::generate(&master, &SystemEntropy).unwrap();
            let ring = ring_of(&[key], 0, &[master]);
            proptest::prop_assert!(ring.open(&bytes, &context).is_err());
        }
    }
}
