//! Content hashes that only one vendor uses, computed from a stream. Pure.

use sha2::{Digest as _, Sha256};

/// Bytes of one block of Dropbox's content hash.
const DROPBOX_BLOCK: usize = 4 << 20;

/// Dropbox's content hash: SHA-256 over the SHA-256 of each block of 4 MiB
/// (<https://www.dropbox.com/developers/reference/content-hash>).
#[derive(Clone, Debug, Default)]
pub struct DropboxContent {
    blocks: Sha256,
    block: Sha256,
    filled: usize,
}

impl DropboxContent {
    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at((DROPBOX_BLOCK - self.filled).min(bytes.len()));
            self.block.update(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == DROPBOX_BLOCK {
                self.blocks.update(self.block.finalize_reset());
                self.filled = 0;
            }
        }
    }

    /// The hash of what was taken.
    #[must_use]
    pub fn finalize(mut self) -> [u8; 32] {
        if self.filled > 0 {
            self.blocks.update(self.block.finalize());
        }
        self.blocks.finalize().into()
    }
}

/// Bits of a QuickXorHash.
const WIDTH: usize = 160;
/// How far each byte is shifted beyond the one before, in bits.
const SHIFT: usize = 11;

/// Microsoft's QuickXorHash: bytes are xored into a ring of 160 bits, each 11 bits further on, and
/// the length into the last 64 bits
/// (<https://learn.microsoft.com/en-us/onedrive/developer/code-snippets/quickxorhash>).
#[derive(Clone, Debug, Default)]
pub struct QuickXor {
    ring: [u8; WIDTH / 8],
    at: usize,
    length: u64,
}

impl QuickXor {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let count = self.ring.len();
        for byte in bytes {
            let (cell, offset) = (self.at / 8, self.at % 8);
            let wide = u16::from(*byte) << offset;
            let [low, high] = wide.to_le_bytes();
            if let Some(one) = self.ring.get_mut(cell) {
                *one ^= low;
            }
            if let Some(next) = self.ring.get_mut((cell + 1) % count) {
                *next ^= high;
            }
            self.at = (self.at + SHIFT) % WIDTH;
        }
        self.length = self.length.wrapping_add(bytes.len() as u64);
    }

    /// The hash of what was taken.
    #[must_use]
    pub fn finalize(self) -> [u8; 20] {
        let mut ring = self.ring;
        let tail = ring.iter_mut().skip(WIDTH / 8 - 8);
        for (cell, byte) in tail.zip(self.length.to_le_bytes()) {
            *cell ^= byte;
        }
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick_xor(bytes: &[u8]) -> [u8; 20] {
        let mut hash = QuickXor::default();
        for piece in bytes.chunks(7) {
            hash.update(piece);
        }
        hash.finalize()
    }

    #[test]
    fn quick_xor_shifts_by_eleven_bits_and_ends_with_the_length() {
        let mut empty = [0; 20];
        assert_eq!(quick_xor(b""), empty);
        empty[0] = 0xff;
        empty[12] = 1;
        assert_eq!(quick_xor(&[0xff]), empty);
        // The second byte begins at bit 11: three bits into the second cell.
        let two = quick_xor(&[0, 0xff]);
        assert_eq!((two[1], two[2], two[12]), (0xf8, 0x07, 2));
        // The 15th byte begins at bit 154 and wraps around into the first cell.
        let mut fifteen = [0u8; 15];
        fifteen[14] = 0xff;
        let hash = quick_xor(&fifteen);
        assert_eq!((hash[0], hash[19]), (0x03, 0xfc));
    }

    #[test]
    fn dropbox_hashes_blocks_of_four_mebibytes() {
        let block = vec![7u8; DROPBOX_BLOCK];
        let mut hash = DropboxContent::default();
        hash.update(&block);
        hash.update(&[1, 2, 3]);
        let mut outer = Sha256::new();
        outer.update(Sha256::digest(&block));
        outer.update(Sha256::digest([1, 2, 3]));
        assert_eq!(hash.finalize(), <[u8; 32]>::from(outer.finalize()));
        let nothing = DropboxContent::default().finalize();
        assert_eq!(nothing, <[u8; 32]>::from(Sha256::digest([])));
    }
}
