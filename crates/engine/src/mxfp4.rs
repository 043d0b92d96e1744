//! The MXFP4 number format: 32 four-bit floats that share a power of two (OCP Microscaling 1.0; gpt-oss's layout of it).

/// The sixteen values of a nibble: sign, two bits of exponent, one of mantissa.
pub(crate) const VALUES: [f32; 16] = [
    0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0,
];

/// The two values of a byte: the low nibble is the element with the even index (gpt_oss/torch/weights.py).
static PAIRS: [[f32; 2]; 256] = {
    let mut pairs = [[0.0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [VALUES[byte & 15], VALUES[byte >> 4]];
        byte += 1;
    }
    pairs
};

/// `2^(scale - 127)`; 255 gives infinity, so that a damaged scale shows up as a non-finite logit.
#[inline(always)]
fn power(scale: u8) -> f32 {
    match scale {
        0 => f32::from_bits(1 << 22),
        _ => f32::from_bits(u32::from(scale) << 23),
    }
}

/// Decodes `scales.len()` blocks, 16 bytes each, to 32 elements each, exactly.
#[inline(always)]
pub fn decode(blocks: &[u8], scales: &[u8], into: &mut [f32]) {
    let blocks = blocks.as_chunks::<16>().0;
    for ((out, block), scale) in into
        .as_chunks_mut::<32>()
        .0
        .iter_mut()
        .zip(blocks)
        .zip(scales)
    {
        let scale = power(*scale);
        for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(block) {
            let [low, high] = PAIRS[usize::from(*byte)];
            *pair = [low * scale, high * scale];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_nibble_is_the_even_element() {
        let mut block = [0_u8; 16];
        block[0] = 0x2f; // element 0 = nibble 15, element 1 = nibble 2
        block[15] = 0xb1;
        let mut out = [9.0; 32];
        decode(&block, &[128], &mut out);
        assert_eq!((out[0], out[1], out[30], out[31]), (-12.0, 2.0, 1.0, -3.0));
        assert!(out[2..30].iter().all(|x| *x == 0.0));
    }

    #[test]
    fn every_scale_is_its_power_of_two() {
        for scale in 0..255_u8 {
            assert_eq!(f64::from(power(scale)), 2_f64.powi(i32::from(scale) - 127));
        }
        assert_eq!(power(255), f32::INFINITY);
    }
}
