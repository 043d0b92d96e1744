//! Weights as the products' inner loops take them: some rows of a matrix in the formats of a checkpoint.

use std::ops::Range;

/// Most rows in a panel: two AVX-512 registers of f32.
pub(crate) const PANEL: usize = 32;

/// Bytes of a row that are taken at a time.
pub(super) const CHUNK: usize = 16;

/// Chains side by side in [`super::Simd::chains`]: enough to hide the time that each multiply-add takes.
pub(super) const CHAINS: usize = 12;

/// Bytes of one block of each row of a whole panel: word 0 of all rows, word 1, 2 and 3, then their scales.
pub(crate) const INTERLEAVED: usize = PANEL * (CHUNK + 1);

/// How the numbers of a [`Panel`] are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Blocks of 16 bytes for 32 elements, each with a scale elsewhere.
    Mxfp4,
    /// The same blocks in the order in which a panel reads them, see [`INTERLEAVED`].
    Interleaved,
    /// Little endian.
    Bf16,
    /// Little endian.
    F32,
}

impl Format {
    /// Elements in [`CHUNK`] bytes.
    pub(super) const fn per_chunk(self) -> usize {
        match self {
            Self::Mxfp4 | Self::Interleaved => 32,
            Self::Bf16 => 8,
            Self::F32 => 4,
        }
    }

    /// Bytes of a row of `cols` elements, without scales that lie elsewhere.
    pub(crate) const fn row_bytes(self, cols: usize) -> usize {
        match self {
            Self::Mxfp4 => cols / 2,
            Self::Interleaved => cols / 32 * (CHUNK + 1),
            Self::Bf16 => cols * 2,
            Self::F32 => cols * 4,
        }
    }
}

/// Up to [`PANEL`] rows that follow each other in memory.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    format: Format,
    bytes: &'a [u8],
    scales: &'a [u8],
    rows: usize,
    cols: usize,
    /// What will be read after this panel, to be fetched from memory meanwhile.
    ahead: &'a [u8],
}

impl<'a> Panel<'a> {
    /// The rows `rows`, at most [`PANEL`], of a matrix that lies in `bytes` and, for MXFP4, `scales`. Interleaved rows
    /// begin with a whole panel.
    pub(crate) fn new(
        format: Format,
        (bytes, scales): (&'a [u8], &'a [u8]),
        rows: Range<usize>,
        cols: usize,
    ) -> Self {
        let row = format.row_bytes(cols);
        let blocks = match format {
            Format::Mxfp4 => cols / 32,
            Format::Interleaved | Format::Bf16 | Format::F32 => 0,
        };
        let n = rows.len();
        assert!(
            (1..=PANEL).contains(&n),
            "a panel has 1 to {PANEL} rows, this one {n}"
        );
        let there = if format == Format::Interleaved {
            assert!(
                rows.start.is_multiple_of(PANEL),
                "a panel begins at row {}",
                rows.start
            );
            PANEL
        } else {
            n
        };
        let (panel, behind) = bytes[rows.start * row..].split_at(there * row);
        Self {
            format,
            bytes: panel,
            scales: &scales[rows.start * blocks..][..n * blocks],
            rows: n,
            cols,
            ahead: &behind[..behind.len().min(PANEL * row)],
        }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Rows that are there.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Elements in a row.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Where each row begins. Rows that are not there read the last one: their results are dropped.
    #[inline(always)]
    pub(super) fn offsets(&self) -> [usize; PANEL] {
        let row = self.format.row_bytes(self.cols);
        std::array::from_fn(|r| r.min(self.rows - 1) * row)
    }

    #[inline(always)]
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Block `block` of each row of an interleaved panel.
    #[inline(always)]
    pub(super) fn interleaved(&self, block: usize) -> &'a [u8; INTERLEAVED] {
        &self.bytes.as_chunks().0[block]
    }

    /// 64-byte lines that are wanted next, the share of chunk `chunk`: no more than come in while one is computed.
    #[inline(always)]
    pub(super) fn ahead(&self, chunk: usize) -> &'a [u8] {
        let step = match self.format {
            Format::Interleaved => INTERLEAVED,
            Format::Mxfp4 | Format::Bf16 | Format::F32 => CHUNK * PANEL,
        };
        let from = (chunk * step).min(self.ahead.len());
        &self.ahead[from..self.ahead.len().min(from + step)]
    }

    /// The scales, row after row; empty unless MXFP4.
    #[inline(always)]
    pub(super) fn scales(&self) -> &'a [u8] {
        self.scales
    }

    /// The scale of a row's block.
    #[inline(always)]
    pub(super) fn scale(&self, row: usize, block: usize) -> u8 {
        self.scales[row.min(self.rows - 1) * (self.cols / 32) + block]
    }

    /// The bytes behind a row's last whole chunk, filled up with zeros. MXFP4 has none.
    #[inline(always)]
    pub(super) fn rest(&self, row: usize) -> [u8; CHUNK] {
        let bytes = self.format.row_bytes(self.cols);
        let row = &self.bytes[row.min(self.rows - 1) * bytes..][..bytes];
        let rest = row.as_chunks::<CHUNK>().1;
        let mut chunk = [0; CHUNK];
        chunk[..rest.len()].copy_from_slice(rest);
        chunk
    }
}
