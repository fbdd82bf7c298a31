//! XXH3 with 64 bits: finds damage, and is no defence against intent.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Bytes of page data under one checksum.
pub const BLOCK: u64 = 1 << 20;

/// The checksum of `bytes`.
pub fn of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// How many blocks `length` bytes make.
pub fn blocks(length: u64) -> u64 {
    length.div_ceil(BLOCK)
}

/// Checksums of the blocks of a stream, which arrives in pieces of any size.
pub struct BlockSums {
    sums: Vec<u64>,
    current: Box<Xxh3>,
    filled: usize,
}

impl BlockSums {
    pub fn new() -> Self {
        Self { sums: Vec::new(), current: Box::new(Xxh3::new()), filled: 0 }
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (piece, rest) = data.split_at(data.len().min(BLOCK as usize - self.filled));
            self.current.update(piece);
            self.filled += piece.len();
            data = rest;
            if self.filled == BLOCK as usize {
                self.close();
            }
        }
    }

    /// All checksums, that of a last block that is not full included.
    pub fn finish(mut self) -> Vec<u64> {
        if self.filled > 0 {
            self.close();
        }
        self.sums
    }

    fn close(&mut self) {
        self.sums.push(self.current.digest());
        self.current.reset();
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_sums_do_not_depend_on_the_pieces() {
        let data: Vec<u8> = (0..3 * BLOCK as usize + 4097).map(|i| ((i * 7) >> 3) as u8).collect();
        let expected: Vec<u64> = data.chunks(BLOCK as usize).map(of).collect();
        for piece in [4096, 65_536, BLOCK as usize, 5_000_001] {
            let mut sums = BlockSums::new();
            data.chunks(piece).for_each(|chunk| sums.update(chunk));
            assert_eq!(sums.finish(), expected, "pieces of {piece} bytes");
        }
    }
}
