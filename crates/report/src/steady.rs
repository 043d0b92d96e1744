//! The steady part of a run: what is left without ramp and drain.

use ossmark_record::Row;
use serde::Serialize;

use crate::windows::Windows;

/// The rule, as pages and documents state it.
pub const RULE: &str = "The run is cut into 50 equal windows, of at least a second each. The steady part goes from the first \
    to the last of them that reaches 90% of their median tokens/s; unless all samples are issued at once, it ends with the \
    last issue. There is none when it is shorter than 10 windows, when fewer than 100 samples were completed in it, when the \
    tokens/s of its halves differ by more than 10%, or when the samples open at the ends of its windows are more than half \
    again as many in its last quarter as in its first.";

const WINDOWS: usize = 50;
const SHARE: f64 = 0.9;
const LEAST_WINDOWS: usize = 10;
const LEAST_SAMPLES: u64 = 100;
const DRIFT: f64 = 0.1;
const GROWTH: f64 = 1.5;

/// The steady part, in seconds from the start of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Where it begins.
    pub from_s: f64,
    /// Where it ends.
    pub to_s: f64,
}

/// Finds the steady part; `at_once` where all samples are issued together (Offline).
///
/// # Errors
///
/// Why there is none, as a sentence.
pub fn steady(rows: &[Row], at_once: bool) -> Result<Part, String> {
    let cut = Windows::of(rows, WINDOWS);
    let mut rates: Vec<f64> = cut.windows.iter().map(|w| w.tokens_per_s).collect();
    rates.sort_unstable_by(f64::total_cmp);
    let Some(median) = rates.get(rates.len() / 2) else {
        return Err("no sample is known".into());
    };
    let reaches = |w: &crate::windows::Window| w.tokens_per_s >= SHARE * median;
    let from = cut.windows.iter().position(reaches).unwrap_or(0);
    let mut to = cut
        .windows
        .iter()
        .rposition(reaches)
        .map_or(0, |last| last + 1);
    if !at_once {
        let last_issue = cut.windows.iter().rposition(|w| w.issued > 0);
        to = to.min(last_issue.map_or(0, |last| last + 1));
    }
    let Some(part) = cut.windows.get(from..to) else {
        return Err("the rate was reached only after the last issue".into());
    };
    if part.len() < LEAST_WINDOWS {
        return Err(format!(
            "between ramp and drain there are {} windows of {:.1} s, expected {LEAST_WINDOWS} or more: the run is too short",
            part.len(),
            cut.width_s
        ));
    }
    let completed: u64 = part.iter().map(|w| w.completed).sum();
    if completed < LEAST_SAMPLES {
        return Err(format!(
            "{completed} samples were completed between ramp and drain, expected {LEAST_SAMPLES} or more"
        ));
    }
    let mean = |of: &dyn Fn(&crate::windows::Window) -> f64, from: usize, to: usize| {
        part[from..to].iter().map(of).sum::<f64>() / (to - from) as f64
    };
    let half = part.len() / 2;
    let (first, second) = (
        mean(&|w| w.tokens_per_s, 0, half),
        mean(&|w| w.tokens_per_s, half, part.len()),
    );
    if (first - second).abs() > DRIFT * first.min(second) {
        return Err(format!(
            "tokens/s went from {first:.0} in the first half to {second:.0} in the second"
        ));
    }
    let quarter = part.len() / 4;
    let (first, last) = (
        mean(&|w| w.open as f64, 0, quarter),
        mean(&|w| w.open as f64, part.len() - quarter, part.len()),
    );
    // Few samples open come and go in multiples.
    if !at_once && last > GROWTH * first + 2.0 {
        return Err(format!(
            "open samples grew from {first:.0} to {last:.0}: more was sent than was answered"
        ));
    }
    Ok(Part {
        from_s: from as f64 * cut.width_s,
        to_s: to as f64 * cut.width_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rows::row;

    /// Ten samples a second, each answered in 5 s: a ramp of 5 s and a drain of 5 s.
    #[test]
    fn ramp_and_drain_are_left_out() {
        let rows: Vec<Row> = (0..1000).map(|i| row(i, 1000, 40, 101)).collect();
        let part = steady(&rows, false).unwrap();
        assert!((2.0..=7.0).contains(&part.from_s), "{part:?}");
        assert!((98.0..=103.0).contains(&part.to_s), "{part:?}");
    }

    #[test]
    fn a_growing_queue_is_no_steady_part() {
        // Each sample waits a tenth longer than the one before, so that the rate is the same and the queue grows.
        let rows: Vec<Row> = (0..1000)
            .map(|i| row(i, 1000 + 40 * i as i64, 40, 101))
            .collect();
        let reason = steady(&rows, false).unwrap_err();
        assert!(reason.contains("open samples grew"), "{reason}");
    }

    #[test]
    fn a_rate_that_falls_is_no_steady_part() {
        // Of the second half every answer is half as long.
        let rows: Vec<Row> = (0..1000)
            .map(|i| row(i, 100, 40, if i < 480 { 101 } else { 83 }))
            .collect();
        let reason = steady(&rows, false).unwrap_err();
        assert!(reason.contains("in the second"), "{reason}");
    }

    #[test]
    fn short_runs_have_none() {
        assert!(steady(&[], false).is_err());
        assert!(
            steady(&[row(0, 1, 1, 5)], true)
                .unwrap_err()
                .contains("too short")
        );
        let rows: Vec<Row> = (0..99).map(|i| row(3 * i, 100, 40, 101)).collect();
        assert!(
            steady(&rows, false).unwrap_err().contains("99 samples")
                || steady(&rows, false).is_err()
        );
    }
}
