//! One request's random numbers. Owns a Mersenne Twister; knows nothing of tokens. Used on the engine thread.
//!
//! MLPerf's rules allow only named generators, mt19937 among them (`inference_rules.adoc`, "Non-determinism is
//! restricted"), so numbers are drawn here and not on the device. A request's n-th generated token uses its n-th draw
//! whatever it was batched with and however often it was preempted or drafted: preemption keeps both the tokens and the
//! generator, and a number belongs to its token.

use std::collections::VecDeque;

use rand_mt::Mt;

/// The mt19937 of one request.
pub(crate) struct RequestRng {
    mt: Box<Mt>,
    /// Numbers that were drawn and may be asked for again: from that of token `first` on.
    drawn: VecDeque<f32>,
    first: u32,
}

impl RequestRng {
    /// Seeds with `init_by_array` of the seed's low and high half, as CPython does for integers of two words.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            mt: Box::new(Mt::new_with_key([seed as u32, (seed >> 32) as u32])),
            drawn: VecDeque::new(),
            first: 0,
        }
    }

    /// The numbers of `count` generated tokens from the `n`-th on, counted from 0, however often they are asked for: a token
    /// that was drafted and refused is chosen again with its own. Those before the `n`-th are forgotten.
    pub(crate) fn of_tokens(&mut self, n: u32, count: u32) -> impl Iterator<Item = f32> + '_ {
        while self.first < n {
            if self.drawn.pop_front().is_none() {
                self.draw();
            }
            self.first += 1;
        }
        while (self.drawn.len() as u32) < count {
            let next = self.draw();
            self.drawn.push_back(next);
        }
        self.drawn.iter().copied().take(count as usize)
    }

    /// Uniform in [0, 1): the upper 24 bits of one draw, so that every value is exact in f32.
    fn draw(&mut self) -> f32 {
        (self.mt.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
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
        let mut uniforms = (0..).map(|n| rng.of_tokens(n, 1).next().unwrap());
        let expected = [
            3851240871u32,
            1496727489,
            1688815724,
            1191980605,
            3705741621,
        ];
        for bits in expected {
            assert_eq!(uniforms.next(), Some((bits >> 8) as f32 / 16_777_216.0));
        }
        assert_eq!(
            uniforms.nth(999 - 5),
            Some((1068068003u32 >> 8) as f32 / 16_777_216.0)
        );
    }

    /// Tokens in any spans, some asked for again: each has the number that it has one by one.
    #[test]
    fn a_token_keeps_its_number() {
        let mut plain = RequestRng::new(9);
        let expected: Vec<f32> = (0..200)
            .map(|n| plain.of_tokens(n, 1).next().unwrap())
            .collect();
        let mut rng = RequestRng::new(9);
        let mut n = 0;
        for (count, kept) in [(1, 1), (4, 1), (4, 4), (4, 2), (1, 0), (3, 3)].repeat(9) {
            let found: Vec<f32> = rng.of_tokens(n, count).collect();
            assert_eq!(found, expected[n as usize..][..count as usize]);
            n += kept;
        }
        // Forward over numbers that nobody asked for.
        assert_eq!(rng.of_tokens(190, 1).next(), Some(expected[190]));
    }

    #[test]
    fn one_is_never_drawn() {
        assert!((u32::MAX >> 8) as f32 / 16_777_216.0 < 1.0);
        let mut rng = RequestRng::new(7);
        let mean = rng.of_tokens(0, 10_000).map(f64::from).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "mean {mean}");
    }
}
