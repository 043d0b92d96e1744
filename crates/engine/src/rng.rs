//! One request's random numbers. Owns a Mersenne Twister; knows nothing of tokens. Used on the engine thread.
//!
//! MLPerf's rules allow only named generators, mt19937 among them (`inference_rules.adoc`, "Non-determinism is
//! restricted"), so numbers are drawn here and not on the device. A request's n-th generated token uses its n-th draw
//! whatever it was batched with and however often it was preempted: preemption keeps both the tokens and the generator.

use rand_mt::Mt;

/// The mt19937 of one request.
pub(crate) struct RequestRng(Box<Mt>);

impl RequestRng {
    /// Seeds with `init_by_array` of the seed's low and high half, as CPython does for integers of two words.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Box::new(Mt::new_with_key([
            seed as u32,
            (seed >> 32) as u32,
        ])))
    }

    /// The next number, uniform in [0, 1): the upper 24 bits of one draw, so that every value is exact in f32.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First numbers of `mt19937ar.out`, published with the generator by Matsumoto and Nishimura.
    #[test]
    fn the_crate_is_mt19937_as_published() {
        let mut mt = Mt::new_with_key([0x123, 0x234, 0x345, 0x456]);
        let first: Vec<u32> = (0..5).map(|_| mt.next_u32()).collect();
        assert_eq!(
            first,
            [1067595299, 955945823, 477289528, 4107218783, 4228976476]
        );
    }

    /// CPython: `random.seed(0x0123456789abcdef)`, then `random.getrandbits(32)`.
    #[test]
    fn the_seed_is_keyed_low_half_first() {
        let mut rng = RequestRng::new(0x0123_4567_89ab_cdef);
        let expected = [
            3851240871u32,
            1496727489,
            1688815724,
            1191980605,
            3705741621,
        ];
        for bits in expected {
            assert_eq!(rng.uniform(), (bits >> 8) as f32 / 16_777_216.0);
        }
        for _ in 5..999 {
            rng.uniform();
        }
        assert_eq!(rng.uniform(), (1068068003u32 >> 8) as f32 / 16_777_216.0);
    }

    #[test]
    fn one_is_never_drawn() {
        assert!((u32::MAX >> 8) as f32 / 16_777_216.0 < 1.0);
        let mut rng = RequestRng::new(7);
        let mean = (0..10_000).map(|_| f64::from(rng.uniform())).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "mean {mean}");
    }
}
