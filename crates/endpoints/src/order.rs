//! The order in which the official client issues samples: one list of all rows, shuffled again for each pass.
//!
//! `random.Random(dataloader_random_seed).shuffle` of CPython: MT19937 seeded by the 32-bit words of the seed, least first, and
//! a shuffle from the end. The rules (6.5) say "with replacement"; the client shuffles. Facts: §3.

use std::iter;

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
        Self {
            random: random(seed),
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

    /// The rows of all passes, one after the other.
    pub fn samples(mut self) -> impl Iterator<Item = u32> {
        iter::repeat_with(move || self.next_pass().to_vec()).flatten()
    }
}

/// Draws with replacement, as the rules' text has it: `random.Random(seed).randint(0, rows - 1)`, again and again.
#[derive(Debug)]
pub struct Draws {
    random: Mt,
    rows: u32,
}

impl Draws {
    /// Of a data set with so many rows, at least one.
    pub fn new(seed: u64, rows: u32) -> Self {
        Self {
            random: random(seed),
            rows: rows.max(1),
        }
    }
}

impl Iterator for Draws {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        Some(below(&mut self.random, self.rows))
    }
}

/// `random.Random(seed)`: MT19937 by the words of the seed, least first.
fn random(seed: u64) -> Mt {
    let mut words = vec![seed as u32];
    if seed > u64::from(u32::MAX) {
        words.push((seed >> 32) as u32);
    }
    Mt::new_with_key(words)
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
