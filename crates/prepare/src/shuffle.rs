//! The order of GPQA's options: that of `random.Random(seed).sample(range(4), 4)` in Python, question after question, because
//! MLCommons' own preparation draws them so (mlcommons/endpoints, predefined/gpqa). Owns CPython's way from mt19937 to an
//! index.

use rand_mt::Mt;

/// Draws the orders of one file set.
pub(crate) struct Shuffler(Mt);

impl Shuffler {
    /// `random.Random(seed)`: CPython seeds by the key of the number's 32-bit digits, also when it is one digit.
    pub(crate) fn new(seed: u32) -> Self {
        Self(Mt::new_with_key([seed]))
    }

    /// Which of the four options stands at each place.
    pub(crate) fn next(&mut self) -> [usize; 4] {
        let mut pool = [0, 1, 2, 3];
        std::array::from_fn(|place| {
            let left = 4 - place;
            let drawn = self.below(left as u32) as usize;
            let chosen = pool[drawn];
            pool[drawn] = pool[left - 1];
            chosen
        })
    }

    /// CPython takes as many of the upper bits as the bound has, and draws again when they are too many.
    fn below(&mut self, bound: u32) -> u32 {
        let bits = u32::BITS - bound.leading_zeros();
        loop {
            let drawn = self.0.next_u32() >> (u32::BITS - bits);
            if drawn < bound {
                return drawn;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by Python 3.11: `r = random.Random(seed); [r.sample(range(4), 4) for _ in range(6)]`.
    #[test]
    fn the_orders_are_pythons() {
        for (seed, expected) in [
            (
                0,
                [
                    [3, 1, 0, 2],
                    [3, 1, 2, 0],
                    [2, 3, 0, 1],
                    [2, 0, 3, 1],
                    [1, 3, 0, 2],
                    [2, 1, 0, 3],
                ],
            ),
            (
                42,
                [
                    [0, 3, 1, 2],
                    [1, 0, 2, 3],
                    [3, 0, 2, 1],
                    [1, 0, 2, 3],
                    [3, 0, 1, 2],
                    [0, 3, 1, 2],
                ],
            ),
            (
                12345,
                [
                    [3, 2, 0, 1],
                    [2, 0, 1, 3],
                    [1, 3, 0, 2],
                    [2, 3, 0, 1],
                    [2, 3, 0, 1],
                    [1, 0, 2, 3],
                ],
            ),
        ] {
            let mut shuffler = Shuffler::new(seed);
            assert_eq!(
                std::array::from_fn::<_, 6, _>(|_| shuffler.next()),
                expected,
                "{seed}"
            );
        }
    }
}
