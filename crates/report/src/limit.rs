//! A limit and how far a run was from it, in LoadGen's own terms.

use ossmark_record::{Row, over, percentile};
use serde::Serialize;

use crate::early_stopping::{PERCENTILE, allowed_over, samples_for};
use crate::number::{count, shown};

/// What a limit is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Time to the first token.
    Ttft,
    /// Time per output token after the first.
    Tpot,
}

impl Kind {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::Tpot => "TPOT",
        }
    }

    /// A row's value in nanoseconds.
    pub fn of(self, row: &Row) -> Option<i64> {
        match self {
            Self::Ttft => row.ttft_ns(),
            Self::Tpot => row.tpot_ns(),
        }
    }
}

/// A limit of a run. Counts are of the samples that have a value; `None` where no row is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// What is limited.
    pub name: Kind,
    /// The 99th percentile as LoadGen takes it; its own figure where there are no rows.
    pub p99_ms: Option<f64>,
    /// The most that it may be.
    pub limit_ms: f64,
    /// Samples over the limit.
    pub over: Option<u64>,
    /// Samples that early stopping lets be over; `None` also where there are too few samples for any.
    pub allowed_over: Option<u64>,
    /// Samples with a value.
    pub samples: Option<u64>,
    /// How many more samples, all within the limit, early stopping would have needed; 0 where it was met.
    pub samples_missing: Option<u64>,
}

impl Limit {
    /// The limit held against rows; `p99_ns` is what LoadGen logged.
    pub fn of(kind: Kind, limit_ns: i64, rows: &[Row], p99_ns: Option<i64>) -> Self {
        let mut values: Vec<i64> = rows.iter().filter_map(|row| kind.of(row)).collect();
        values.sort_unstable();
        let samples = values.len() as u64;
        let known = (samples > 0).then_some(samples);
        let over = known.map(|_| over(values.iter().copied(), limit_ns));
        let p99_ns = percentile(&values, PERCENTILE).or(p99_ns);
        Self {
            name: kind,
            p99_ms: p99_ns.map(ms),
            limit_ms: ms(limit_ns),
            over,
            allowed_over: known.and_then(|samples| allowed_over(samples, PERCENTILE)),
            samples: known,
            samples_missing: over.map(|over| samples_for(over, PERCENTILE).saturating_sub(samples)),
        }
    }

    /// Whether early stopping is met; `None` where no row is known.
    pub fn met(&self) -> Option<bool> {
        Some(self.samples_missing? == 0)
    }

    /// The margin in a sentence that goes on behind the limit's name, for whoever has never heard of early stopping.
    pub fn margin(&self) -> String {
        let Some((over, samples)) = self.over.zip(self.samples) else {
            return "not known, for there is no record of how many samples were over the limit"
                .into();
        };
        let missing = count(self.samples_missing.unwrap_or_default());
        let limit = shown(self.limit_ms);
        let found = format!(
            "{} of {} samples were over {limit} ms",
            count(over),
            count(samples)
        );
        match self.allowed_over {
            Some(most) if over <= most => format!(
                "kept: {found}. LoadGen's early stopping allows {}: {} more would have been too many",
                count(most),
                count(most - over + 1)
            ),
            Some(most) => format!(
                "missed: {found}. LoadGen's early stopping allows {}, so {} fewer, or {missing} more samples within the limit, \
                 would have kept it",
                count(most),
                count(over - most)
            ),
            None => format!(
                "missed: {found}. So few samples are not enough for LoadGen's early stopping, which asks for {missing} more \
                 within the limit"
            ),
        }
    }
}

/// Nanoseconds as milliseconds.
pub(crate) fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rows::row;

    fn limit(samples: u64, over: u64) -> Limit {
        let rows: Vec<Row> = (0..samples)
            .map(|i| row(i, if i < over { 101 } else { 100 }, 10, 5))
            .collect();
        Limit::of(Kind::Ttft, 100_000_000, &rows, None)
    }

    #[test]
    fn the_margin_is_early_stoppings() {
        let met = limit(6396, 45);
        assert_eq!(
            (met.over, met.allowed_over, met.samples_missing),
            (Some(45), Some(45), Some(0))
        );
        assert!(
            met.margin()
                .starts_with("kept: 45 of 6,396 samples were over 100 ms.")
                && met
                    .margin()
                    .ends_with("allows 45: 1 more would have been too many"),
            "{}",
            met.margin()
        );
        let missed = limit(6396, 46);
        assert_eq!(
            (missed.met(), missed.samples_missing),
            (Some(false), Some(35))
        );
        assert!(
            missed
                .margin()
                .contains("allows 45, so 1 fewer, or 35 more samples within the limit,"),
            "{}",
            missed.margin()
        );
        // A plain p99 would have let 63 pass.
        assert_eq!(missed.p99_ms, Some(100.0));
        assert_eq!(limit(6396, 64).p99_ms, Some(101.0));
        let few = limit(100, 0);
        assert_eq!((few.allowed_over, few.samples_missing), (None, Some(359)));
        assert!(
            few.margin().contains("asks for 359 more"),
            "{}",
            few.margin()
        );
    }

    #[test]
    fn without_rows_loadgens_p99_is_shown_and_no_margin() {
        let limit = Limit::of(Kind::Tpot, 80_000_000, &[], Some(70_000_000));
        assert_eq!(
            (limit.p99_ms, limit.over, limit.met()),
            (Some(70.0), None, None)
        );
        assert!(limit.margin().contains("there is no record"));
    }
}
