//! Random numbers by seed and index alone, so that host and device (`kernels/synthetic.cu`) make the same ones.

/// Numbers of a tensor that exists in no file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Random {
    pub(crate) seed: u32,
    pub(crate) middle: f32,
    pub(crate) spread: f32,
}

/// Chris Wellons' lowbias32 (public domain).
pub(crate) fn mixed(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

fn word(seed: u32, index: u64) -> u32 {
    mixed(index as u32 ^ mixed(seed ^ mixed((index >> 32) as u32)))
}

impl Random {
    /// Element `index`, a bf16 number.
    pub(crate) fn value(&self, index: u64) -> f32 {
        let x = word(self.seed, index) as i32 as f32 * (1.0 / (1_u32 << 31) as f32);
        half::bf16::from_f32(x.mul_add(self.spread, self.middle)).to_f32()
    }
}

/// Byte `index` of MXFP4 blocks.
#[must_use]
pub fn block_byte(seed: u32, index: u64) -> u8 {
    (word(seed, index / 4) >> (index % 4 * 8)) as u8
}

/// Scale `index`: `min` or one more.
#[must_use]
pub fn scale_byte(seed: u32, min: u8, index: u64) -> u8 {
    min + (word(seed, index) & 1) as u8
}
