//! Randomness, lent: the machine's source, or a fixed one in tests.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where random bytes come from.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills the buffer with bytes nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "a machine without randomness can keep no secret; stopping is the safe answer"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A random id of so many bytes of entropy, over `[A-Za-z0-9_-]`. 16 bytes make a capability.
#[must_use]
pub fn random_id(entropy: &dyn Entropy, bytes: usize) -> String {
    let mut raw = vec![0; bytes];
    entropy.fill(&mut raw);
    URL_SAFE_NO_PAD.encode(raw)
}
