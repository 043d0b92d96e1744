//! Tensors inside a memory map. They may lie at any address, so numbers are put together from bytes.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

use super::random::Random;

/// How the numbers of a [`DenseTensor`] are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stored {
    Bf16,
    F32,
    /// Nowhere: made from a seed.
    Random(Random),
}

/// A tensor of bf16 or f32 numbers, seen as rows of `cols` (a vector is one row).
#[derive(Clone)]
pub struct DenseTensor {
    pub(crate) map: Arc<Mmap>,
    pub(crate) bytes: Range<usize>,
    pub(crate) stored: Stored,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl DenseTensor {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements in a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The bytes as stored, row after row, little endian, and true when they are bf16 (else f32). None when synthetic.
    #[must_use]
    pub fn bytes(&self) -> (&[u8], bool) {
        (&self.map[self.bytes.clone()], self.stored == Stored::Bf16)
    }

    /// Writes a row as f32, exactly.
    #[inline(always)]
    pub fn decode_row(&self, row: usize, into: &mut [f32]) {
        self.decode(row * self.cols, &mut into[..self.cols]);
    }

    /// Writes the elements from `first` on, counted over all rows, as f32, exactly.
    #[inline(always)]
    pub fn decode(&self, first: usize, into: &mut [f32]) {
        let data = &self.map[self.bytes.clone()];
        match self.stored {
            Stored::Bf16 => {
                let row = &data[first * 2..][..into.len() * 2];
                for (x, b) in into.iter_mut().zip(row.as_chunks::<2>().0) {
                    *x = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
                }
            }
            Stored::Random(random) => {
                for (i, x) in into.iter_mut().enumerate() {
                    *x = random.value((first + i) as u64);
                }
            }
            Stored::F32 => {
                let row = &data[first * 4..][..into.len() * 4];
                for (x, b) in into.iter_mut().zip(row.as_chunks::<4>().0) {
                    *x = f32::from_le_bytes(*b);
                }
            }
        }
    }

    /// All elements as f32.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f32> {
        let mut all = vec![0.0; self.rows * self.cols];
        self.decode(0, &mut all);
        all
    }
}

/// MXFP4 numbers as shipped: `rows` rows of `cols` elements, 32 elements sharing a scale.
#[derive(Clone)]
pub struct PackedTensor {
    pub(crate) blocks_map: Arc<Mmap>,
    pub(crate) blocks: Range<usize>,
    pub(crate) scales_map: Arc<Mmap>,
    pub(crate) scales: Range<usize>,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Set when synthetic: then the maps hold nothing.
    pub(crate) random: Option<Random>,
}

impl PackedTensor {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements in a row, a multiple of 32.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All blocks, 16 bytes for 32 elements, row after row.
    #[must_use]
    pub fn blocks(&self) -> &[u8] {
        &self.blocks_map[self.blocks.clone()]
    }

    /// All scales, one byte a block: the exponent of two, plus 127.
    #[must_use]
    pub fn scales(&self) -> &[u8] {
        &self.scales_map[self.scales.clone()]
    }

    /// Blocks and scales of one row.
    #[inline(always)]
    #[must_use]
    pub fn row(&self, row: usize) -> (&[u8], &[u8]) {
        let n = self.cols / 32;
        (
            &self.blocks()[row * n * 16..][..n * 16],
            &self.scales()[row * n..][..n],
        )
    }
}
