//! A run on a virtual clock: samples come when they are due, a system serves them, and what is left are the rows of a record,
//! as a real run would have left them.

use ossmark_record::{End, Row};

use crate::schedule::Query;

/// What serves samples, on a virtual clock in nanoseconds from the start of the test.
///
/// A sample is its place among `rows`. A system writes `first_token_ns` and `completed_ns` there and reads the rest; it may
/// write times that are still to come.
pub trait System {
    /// Takes in a sample at its scheduled time, which is never before that of a sample submitted earlier.
    fn submit(&mut self, place: usize, rows: &mut [Row]);

    /// Works on until its clock is at `until_ns` or behind it, or nothing is left to do. What it has begun then may end later.
    fn work(&mut self, until_ns: i64, rows: &mut [Row]);
}

/// How long prompt and answer of a sample are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Tokens of its prompt.
    pub prompt: u32,
    /// Tokens of its answer, the stop token included.
    pub output: u32,
}

/// A Server run of these queries (of [`crate::server`]), with the lengths of each.
pub fn simulate(
    system: &mut impl System,
    queries: &[Query],
    mut lengths: impl FnMut(&Query) -> Lengths,
) -> Vec<Row> {
    let rows = queries.iter().enumerate().map(|(place, query)| {
        let Lengths { prompt, output } = lengths(query);
        Row {
            request: place as u64,
            sample_index: query.sample,
            prompt_tokens: prompt,
            output_tokens: output,
            scheduled_ns: Some(i64::try_from(query.due_ns).unwrap_or(i64::MAX)),
            issued_ns: None,
            first_token_ns: None,
            completed_ns: None,
            end: End::Stop,
            engine: 0,
        }
    });
    let mut rows: Vec<Row> = rows.collect();
    for place in 0..rows.len() {
        let due = rows[place].scheduled_ns.unwrap_or(0);
        system.work(due, &mut rows);
        rows[place].issued_ns = Some(due);
        system.submit(place, &mut rows);
    }
    system.work(i64::MAX, &mut rows);
    rows
}

/// The samples of an Offline run (of [`crate::offline`]) as queries: all are due at once.
pub fn at_once(samples: &[u32]) -> Vec<Query> {
    let query = |&sample: &u32| Query { due_ns: 0, sample };
    samples.iter().map(query).collect()
}
