//! A run cut into windows of equal length, and what happened in each. Pure; from rows.

use ossmark_record::{Row, percentile};
use serde::Serialize;

/// What happened in a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Window {
    /// Where it begins, in seconds from the start of the test.
    pub from_s: f64,
    /// Samples issued.
    pub issued: u64,
    /// Samples completed.
    pub completed: u64,
    /// Tokens per second: a sample's tokens are spread evenly from its first token to its end, where the first is known.
    pub tokens_per_s: f64,
    /// Samples open at its end.
    pub open: u64,
    /// Of the samples that were completed in it.
    pub ttft_p50_ms: Option<f64>,
    /// See `ttft_p50_ms`.
    pub ttft_p99_ms: Option<f64>,
    /// See `ttft_p50_ms`.
    pub tpot_p50_ms: Option<f64>,
    /// See `ttft_p50_ms`.
    pub tpot_p99_ms: Option<f64>,
}

/// The windows of a run, at the most those asked for, each of at least a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Windows {
    /// Their length in seconds; the last one is cut off at the end of the run and counts as whole.
    pub width_s: f64,
    /// In order.
    pub windows: Vec<Window>,
}

/// Seconds from the start of the test to the last that happened; 0 without rows. Never beyond a year, whatever a row says.
pub fn duration_s(rows: &[Row]) -> f64 {
    let times = |row: &Row| [row.issued_ns, row.first_token_ns, row.completed_ns];
    let last = rows.iter().flat_map(times).flatten().max().unwrap_or(0);
    (last as f64 / 1e9).clamp(0.0, 366.0 * 86400.0)
}

/// Tokens of the answers that fall between two times, spread as those of [`Window::tokens_per_s`].
pub(crate) fn tokens_between(rows: &[Row], from_s: f64, to_s: f64) -> f64 {
    let tokens = |row: &Row| {
        let end = row.completed_ns? as f64 / 1e9;
        let begin = row.first_token_ns.map_or(end, |ns| ns as f64 / 1e9);
        let share = match begin < end {
            true => (end.min(to_s) - begin.max(from_s)).max(0.0) / (end - begin),
            false => f64::from(u8::from(from_s <= end && end < to_s)),
        };
        Some(share * f64::from(row.output_tokens))
    };
    rows.iter().filter_map(tokens).sum()
}

impl Windows {
    /// Cuts a run into `most` windows, fewer where they would be shorter than a second.
    pub fn of(rows: &[Row], most: usize) -> Self {
        let duration = duration_s(rows);
        if rows.is_empty() || most == 0 {
            return Self::default();
        }
        let width_s = (duration / most as f64).max(1.0);
        let count = ((duration / width_s).ceil() as usize).clamp(1, most);
        let mut cut = Cut::new(width_s, count);
        rows.iter().for_each(|row| cut.add(row));
        Self {
            width_s,
            windows: cut.finish(),
        }
    }

    /// Where the last window ends, in seconds.
    pub fn end_s(&self) -> f64 {
        self.width_s * self.windows.len() as f64
    }
}

struct Cut {
    width_s: f64,
    windows: Vec<Window>,
    /// TTFT and TPOT of the samples completed in each window.
    latencies: Vec<(Vec<i64>, Vec<i64>)>,
    /// Tokens of whole windows: what changes at each window's begin.
    change: Vec<f64>,
    tokens: Vec<f64>,
}

impl Cut {
    fn new(width_s: f64, count: usize) -> Self {
        let window = |i| Window {
            from_s: i as f64 * width_s,
            ..Window::default()
        };
        Self {
            width_s,
            windows: (0..count).map(window).collect(),
            latencies: vec![Default::default(); count],
            change: vec![0.0; count + 1],
            tokens: vec![0.0; count],
        }
    }

    /// The window of a time, and how far into it, from 0 to 1.
    fn place(&self, ns: i64) -> (usize, f64) {
        let at = (ns as f64 / 1e9 / self.width_s).clamp(0.0, self.windows.len() as f64);
        let window = (at as usize).min(self.windows.len() - 1);
        (window, at - window as f64)
    }

    fn add(&mut self, row: &Row) {
        if let Some(issued) = row.issued_ns.or(row.scheduled_ns) {
            let (window, _) = self.place(issued);
            self.windows[window].issued += 1;
        }
        let Some(completed) = row.completed_ns else {
            return;
        };
        let (last, into_last) = self.place(completed);
        self.windows[last].completed += 1;
        self.latencies[last].0.extend(row.ttft_ns());
        self.latencies[last].1.extend(row.tpot_ns());
        let (first, into_first) = match row.first_token_ns {
            Some(first) if first < completed => self.place(first),
            _ => (last, into_last),
        };
        let tokens = f64::from(row.output_tokens);
        let length = last as f64 + into_last - (first as f64 + into_first);
        if first == last || length <= 0.0 {
            self.tokens[last] += tokens;
            return;
        }
        let per_window = tokens / length;
        self.tokens[first] += per_window * (1.0 - into_first);
        self.tokens[last] += per_window * into_last;
        self.change[first + 1] += per_window;
        self.change[last] -= per_window;
    }

    fn finish(self) -> Vec<Window> {
        let (mut whole, mut open) = (0.0, 0u64);
        let mut windows = self.windows;
        let all = windows.iter_mut().zip(self.latencies);
        for (i, (window, (mut ttft, mut tpot))) in all.enumerate() {
            whole += self.change[i];
            window.tokens_per_s = (self.tokens[i] + whole).max(0.0) / self.width_s;
            open = (open + window.issued).saturating_sub(window.completed);
            window.open = open;
            (window.ttft_p50_ms, window.ttft_p99_ms) = median_and_p99(&mut ttft);
            (window.tpot_p50_ms, window.tpot_p99_ms) = median_and_p99(&mut tpot);
        }
        windows
    }
}

fn median_and_p99(values: &mut [i64]) -> (Option<f64>, Option<f64>) {
    values.sort_unstable();
    let at = |p| percentile(values, p).map(crate::limit::ms);
    (at(0.5), at(0.99))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rows::row;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_spread_from_the_first_to_the_end() {
        // First token at 0.5 s, end at 2.5 s: 101 tokens over two seconds.
        let rows = [row(0, 500, 20, 101)];
        let windows = Windows::of(&rows, 10);
        let rates: Vec<f64> = windows.windows.iter().map(|w| w.tokens_per_s).collect();
        assert_eq!(windows.width_s, 1.0);
        for (found, expected) in rates.iter().zip([25.25, 50.5, 25.25]) {
            assert!((found - expected).abs() < 1e-9, "{rates:?}");
        }
        for (from, to, tokens) in [
            (0.0, 9.0, 101.0),
            (1.0, 2.0, 50.5),
            (0.0, 1.0, 25.25),
            (3.0, 4.0, 0.0),
        ] {
            assert!(
                (tokens_between(&rows, from, to) - tokens).abs() < 1e-9,
                "{from} to {to}"
            );
        }
        assert_eq!(windows.windows[1].open, 1);
        assert_eq!(windows.windows[2].ttft_p99_ms, Some(500.0));
    }

    #[test]
    fn nothing_and_nonsense_are_cut_too() {
        assert!(Windows::of(&[], 10).windows.is_empty());
        let far = Row {
            completed_ns: Some(i64::MAX),
            issued_ns: Some(i64::MIN),
            ..row(0, 1, 1, u32::MAX)
        };
        assert_eq!(Windows::of(&[far], 10).windows.len(), 10);
    }

    proptest! {
        /// No token and no sample is lost or counted twice.
        #[test]
        fn windows_add_up(ttfts in proptest::collection::vec((1i64..5000, 1i64..90, 0u32..500), 1..60), most in 1usize..70) {
            let rows: Vec<Row> =
                ttfts.iter().enumerate().map(|(i, (ttft, tpot, tokens))| row(i as u64, *ttft, *tpot, *tokens)).collect();
            let cut = Windows::of(&rows, most);
            let tokens: f64 = cut.windows.iter().map(|w| w.tokens_per_s * cut.width_s).sum();
            let all: u64 = rows.iter().map(|row| u64::from(row.output_tokens)).sum();
            prop_assert!((tokens - all as f64).abs() < 1e-6 * (1.0 + all as f64), "{} {}", tokens, all);
            prop_assert_eq!(cut.windows.iter().map(|w| w.completed).sum::<u64>(), rows.len() as u64);
            prop_assert!(cut.windows.len() <= most);
            prop_assert_eq!(cut.windows.last().unwrap().open, 0);
        }
    }
}
