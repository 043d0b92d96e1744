//! Servers that take so long for each answer whoever else is there, a limited number at once: the echo engine, and what a
//! script tells it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ossmark_record::Row;

use crate::simulate::System;

/// What an answer takes once it is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// To its first token, in nanoseconds.
    pub ttft_ns: i64,
    /// Between two tokens, in nanoseconds; none: all come with the first.
    pub tpot_ns: i64,
}

/// Serves samples in the order in which they come, a slot each.
#[derive(Clone, Debug)]
pub struct Slots<F> {
    /// What a sample takes.
    service: F,
    /// When each slot is free again; as many as there are, or as many as were ever taken where there is no limit.
    free_ns: BinaryHeap<Reverse<i64>>,
    slots: usize,
}

impl<F: FnMut(&Row) -> Service> Slots<F> {
    /// With so many slots (0: no limit); `service` is asked once for each sample, in order.
    pub fn new(slots: usize, service: F) -> Self {
        Self {
            service,
            free_ns: BinaryHeap::new(),
            slots,
        }
    }
}

impl<F: FnMut(&Row) -> Service> System for Slots<F> {
    fn submit(&mut self, place: usize, rows: &mut [Row]) {
        let row = &mut rows[place];
        let Service { ttft_ns, tpot_ns } = (self.service)(row);
        let mut begun = row.scheduled_ns.unwrap_or(0);
        if self.slots > 0 && self.free_ns.len() == self.slots {
            let Reverse(free) = self.free_ns.pop().expect("there are slots");
            begun = begun.max(free);
        }
        let first = begun.saturating_add(ttft_ns);
        let steps = i64::from(row.output_tokens.saturating_sub(1));
        let completed = first.saturating_add(tpot_ns.saturating_mul(steps));
        row.first_token_ns = Some(first);
        row.completed_ns = Some(completed);
        if self.slots > 0 {
            self.free_ns.push(Reverse(completed));
        }
    }

    /// All that will happen to a sample is known when it comes.
    fn work(&mut self, _until_ns: i64, _rows: &mut [Row]) {}
}
