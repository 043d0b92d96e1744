//! Eight-bit floating point e4m3, as keys and values may be kept (OCP 8-bit floating point specification: bias 7, no
//! infinities, largest 448). `kernels/include/fp8.h` has the device's.

/// The largest number.
const MOST: f32 = 448.0;
/// Exponent of the smallest normal number; below it, steps stay as they are.
const MIN_EXPONENT: i32 = -6;

/// The nearest e4m3 number, the even one of two; what is larger than all becomes the largest, and a NaN stays one.
#[inline(always)]
#[must_use]
pub fn round_e4m3(x: f32) -> f32 {
    let size = x.abs();
    if size >= MOST {
        return MOST.copysign(x);
    }
    let exponent = (size.to_bits() >> 23) as i32 - 127;
    // Three bits behind the first; both scalings are by powers of two, and exact.
    let step = exponent.max(MIN_EXPONENT) - 3;
    let power = |e: i32| f32::from_bits(((e + 127) as u32) << 23);
    ((size * power(-step)).round_ties_even() * power(step)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All numbers that are not negative, from the definition.
    fn numbers() -> Vec<f32> {
        let value = |code: u32| {
            let (exponent, fraction) = ((code >> 3) as i32, (code & 7) as f32 / 8.0);
            if exponent == 0 {
                fraction * 2_f32.powi(-6)
            } else {
                (1.0 + fraction) * 2_f32.powi(exponent - 7)
            }
        };
        // 0x7f is the NaN.
        (0..0x7f).map(value).collect()
    }

    #[test]
    fn numbers_stay_and_what_is_between_goes_to_the_nearest_even() {
        let numbers = numbers();
        assert_eq!(numbers[0x7e], 448.0);
        for (i, pair) in numbers.windows(2).enumerate() {
            let [a, b] = [pair[0], pair[1]];
            let middle = f32::midpoint(a, b);
            let even = if i % 2 == 0 { a } else { b };
            for (x, expected) in [
                (a, a),
                (middle, even),
                (middle.next_down(), a),
                (middle.next_up(), b),
            ] {
                assert_eq!(round_e4m3(x), expected, "{x}");
                assert_eq!(round_e4m3(-x), -expected, "{}", -x);
            }
        }
    }

    #[test]
    fn large_numbers_are_held_at_the_largest() {
        for x in [448.0, 463.9, 464.0, 1e30, f32::INFINITY] {
            assert_eq!(round_e4m3(x), 448.0);
            assert_eq!(round_e4m3(-x), -448.0);
        }
        assert!(round_e4m3(f32::NAN).is_nan());
        assert_eq!(round_e4m3(f32::MIN_POSITIVE / 4.0), 0.0);
    }
}
