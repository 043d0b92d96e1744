//! The order in which the official client issues samples: one list of all rows, shuffled again for each pass.
//!
//! `random.Random(dataloader_random_seed).shuffle` of CPython: MT19937 seeded by the 32-bit words of the seed, least first, and
//! a shuffle from the end. The rules (6.5) say "with replacement"; the client shuffles. Facts: §3.

use rand_mt::Mt;

/// An endless number of passes.
#[derive(Debug)]
pub struct SampleOrder {
    random: Mt,
    rows: Vec<u32>,
}

impl SampleOrder {
    /// Of a data set with so many rows.
    pub fn new(seed: u64, rows: u32) -> Self {
        let mut words = vec![seed as u32];
        if seed > u64::from(u32::MAX) {
            words.push((seed >> 32) as u32);
        }
        Self {
            random: Mt::new_with_key(words),
            rows: (0..rows).collect(),
        }
    }

    /// The rows of the next pass.
    pub fn next_pass(&mut self) -> &[u32] {
        for last in (1..self.rows.len()).rev() {
            let other = below(&mut self.random, last as u32 + 1);
            self.rows.swap(last, other as usize);
        }
        &self.rows
    }
}

/// `randrange(end)`: as many bits as the end has, drawn again until they are below it.
fn below(random: &mut Mt, end: u32) -> u32 {
    let drop = end.leading_zeros();
    loop {
        let n = random.next_u32() >> drop;
        if n < end {
            return n;
        }
    }
}
