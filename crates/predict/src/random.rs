//! The distributions that LoadGen draws from, as GNU's C++ library has them since GCC 11: the standard names what they
//! are, not which numbers of the generator become which of theirs.

use rand_mt::Mt;

/// `std::mt19937`, whose seed is the lower half of LoadGen's.
pub(crate) struct Mt19937(Mt);

impl Mt19937 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mt::new(seed as u32))
    }

    /// `std::exponential_distribution<double>`.
    pub(crate) fn exponential(&mut self, rate: f64) -> f64 {
        // `std::generate_canonical<double, 53>` of a generator of 32 bits.
        let low = f64::from(self.0.next_u32());
        let high = f64::from(self.0.next_u32()) * 4_294_967_296.0;
        let uniform = ((low + high) / 18_446_744_073_709_551_616.0).min(1.0_f64.next_down());
        -(1.0 - uniform).ln() / rate
    }

    /// `std::uniform_int_distribution` over `0..bound`: Lemire's method. `bound` is not zero.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.0.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.0.next_u32()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    /// `std::shuffle`, which draws two places at a time as long as one number of the generator holds both.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        let n = items.len() as u64;
        if n < 2 {
            return;
        }
        if u64::from(u32::MAX) / n < n {
            for i in 1..items.len() {
                let place = self.below(i as u32 + 1);
                items.swap(i, place as usize);
            }
            return;
        }
        let mut i = 1;
        if n.is_multiple_of(2) {
            let place = self.below(2);
            items.swap(i, place as usize);
            i += 1;
        }
        while i < items.len() {
            let (first, second) = (i as u32 + 1, i as u32 + 2);
            let both = self.below(first * second);
            items.swap(i, (both / second) as usize);
            items.swap(i + 1, (both % second) as usize);
            i += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What g++ 12.2 makes of `std::mt19937 g(seed)` with `std::shuffle` of 0, 1, 2, ... and of 70,001 numbers, which take one
    /// draw each, and with `std::exponential_distribution<double>(7.5)`.
    #[test]
    fn as_gnus_library_has_them() {
        for (n, seed, expected) in SHUFFLED {
            let mut items: Vec<u32> = (0..*n).collect();
            Mt19937::new(*seed).shuffle(&mut items);
            assert_eq!(items, *expected, "{n} from {seed}");
        }
        let mut items: Vec<u32> = (0..70_001).collect();
        Mt19937::new(5).shuffle(&mut items);
        assert_eq!([0, 1, 35_000, 70_000].map(|i: usize| items[i]), MANY);
        let mut random = Mt19937::new(0x1234_5678_9abc_def0);
        for expected in GAPS {
            assert_eq!(random.exponential(7.5).to_bits(), *expected);
        }
    }

    /// Length, seed, order.
    const SHUFFLED: &[(u32, u64, &[u32])] = &[
        (1, 1, &[0]),
        (2, 7, &[1, 0]),
        (7, 2085463073848966840, &[2, 5, 1, 6, 3, 0, 4]),
        (10, 2747215439041700203, &[7, 1, 6, 5, 2, 8, 4, 0, 3, 9]),
        (
            33,
            16159082839903944936,
            &[
                0, 10, 29, 32, 18, 30, 19, 1, 22, 14, 13, 24, 11, 5, 7, 12, 9, 28, 27, 6, 15, 23,
                20, 16, 17, 25, 21, 2, 8, 26, 4, 3, 31,
            ],
        ),
    ];

    const MANY: [u32; 4] = [8986, 12_675, 9386, 64_505];

    /// Bits of `double`s.
    const GAPS: &[u64] = &[
        0x3f8fa99d7c894dfc,
        0x3f9bf328eb03eb27,
        0x3fd2359f41a11a70,
        0x3fbefabc72efb6cf,
        0x3f96137fc8109559,
        0x3fb56494ed70c44b,
    ];
}
