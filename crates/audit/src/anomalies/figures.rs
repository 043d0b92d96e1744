//! Figures that LoadGen computes from each other, and those of a record beside its log.

use ossmark_record::Row;

use crate::field::field;
use crate::finding::{Finding, Findings, Level};
use crate::kind::Kind;
use crate::logged::Logged;

/// Of two figures that are one, what digits leave open, with room.
const DIGITS: f64 = 1e-3;

/// The mean product of length and time per token differs from the product of means by so much of it, in a sample of one, where
/// the two are independent: the product of their spreads, 0.5 each, as shares of their means.
const PRODUCT: f64 = 0.25;

/// A performance log.
pub(super) fn of_log(log: &Logged, place: &str, found: &mut Findings) {
    match log.is_offline() {
        true => offline(log, place, found),
        false => server(log, place, found),
    }
}

/// The whole query takes as long as its last sample.
fn offline(log: &Logged, place: &str, found: &mut Findings) {
    let rate = log.positive("result_samples_per_second");
    let longest = log.positive("result_max_latency_ns");
    let (Some(rate), Some(longest), Some(samples)) = (rate, longest, log.samples()) else {
        return found.skip(format!(
            "{place}: duration against samples; its log lacks a figure"
        ));
    };
    let counted = rate * longest / 1e9;
    if (counted / samples - 1.0).abs() > DIGITS {
        found.add(Finding::new(
            Kind::LogFigures,
            Level::Ask,
            place,
            format!("{rate} samples/s for {longest} ns are {counted:.1} samples"),
            format!("{samples}, which were issued"),
        ));
    }
}

/// An answer takes its first token's time and then so much for each token.
fn server(log: &Logged, place: &str, found: &mut Findings) {
    let means = [
        "result_first_token_mean_latency_ns",
        "result_time_to_output_token_mean",
        "result_mean_latency_ns",
    ];
    let [first, each, whole] = means.map(|key| log.positive(key));
    let (Some(first), Some(each), Some(whole), Some(tokens)) =
        (first, each, whole, log.answer_tokens())
    else {
        return found.skip(format!(
            "{place}: duration against tokens; its log lacks a figure"
        ));
    };
    // Of short answers the mean says less: long ones need not be as fast as they are. And of few samples: that they are as fast
    // holds on average.
    let chance = PRODUCT / log.samples().unwrap_or(1.0).sqrt();
    let ratio = (first + each * (tokens - 1.0)) / whole;
    let level = match (ratio - 1.0).abs() {
        off if off > 0.05 + 5.0 * chance => Level::Ask,
        off if off > 0.01 + 3.0 * chance => Level::Note,
        _ => return,
    };
    let level = if tokens < 100.0 { Level::Note } else { level };
    found.add(Finding::new(
        Kind::LogFigures,
        level,
        place,
        format!(
            "mean latency {whole} ns, where the mean first token ({first} ns) and {each} ns for each of {tokens:.0} tokens make \
             {ratio:.4} of that"
        ),
        field().ratio.latency_law.usual(),
    ));
}

/// A record, all of whose rows are there, and its log.
pub(super) fn of_record(rows: &[Row], log: &Logged, place: &str, found: &mut Findings) {
    if let Some(samples) = log
        .samples()
        .filter(|samples| *samples != rows.len() as f64)
    {
        found.add(Finding::new(
            Kind::RecordAgainstLog,
            Level::Ask,
            place,
            format!("{} samples in the record", rows.len()),
            format!("{samples}, which the log has"),
        ));
    }
    let tokens: u64 = rows.iter().map(|row| u64::from(row.output_tokens)).sum();
    let here = tokens as f64 / rows.len().max(1) as f64;
    if let Some(there) = log.answer_tokens()
        && (here / there - 1.0).abs() > 0.01
    {
        found.add(Finding::new(
            Kind::RecordAgainstLog,
            Level::Ask,
            place,
            format!("{here:.3} output tokens an answer in the record"),
            format!("{there:.3}, which the log's rates give"),
        ));
    }
    let last = match log.is_offline() {
        true => rows.iter().filter_map(|row| row.completed_ns).max(),
        // LoadGen counts until the query is answered that it issued last, and not to the last answer.
        false => rows.last().and_then(|row| row.completed_ns),
    };
    let Some(last) = last.map(|ns| ns as f64 / 1e9).filter(|last| *last >= 1.0) else {
        return found.skip(format!(
            "{place}: the record's rate against the log's; the run is shorter than a second, or its last query was not answered"
        ));
    };
    let here = tokens as f64 / last;
    let Some((there, _)) = log.rates() else {
        return;
    };
    let off = (here / there - 1.0).abs();
    if off > 0.02 {
        found.add(Finding::new(
            Kind::RecordAgainstLog,
            if off > 0.1 { Level::Ask } else { Level::Note },
            place,
            format!("{here:.1} tokens/s in the record, until the end of LoadGen's count"),
            format!("{there}, which the log has"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::honest;
    use super::*;

    fn asks(log: &Logged) -> usize {
        let mut found = Findings::default();
        of_log(log, "run", &mut found);
        found.asks()
    }

    #[test]
    fn figures_that_do_not_belong_together_are_asked_about() {
        assert_eq!(asks(&honest::server_log(4, None)), 0);
        let change = ("result_mean_latency_ns", 1e9.into());
        assert_eq!(asks(&honest::server_log(4, Some(change))), 1);
        assert_eq!(asks(&honest::offline_log(None)), 0);
        let change = ("result_samples_per_second", 40.0.into());
        assert_eq!(asks(&honest::offline_log(Some(change))), 1);
    }

    #[test]
    fn a_record_of_another_run_is_asked_about() {
        let (log, rows) = honest::server(5);
        let judged = |rows: &[Row]| {
            let mut found = Findings::default();
            of_record(rows, &log, "run", &mut found);
            found
        };
        assert_eq!(judged(&rows).asks(), 0, "{:?}", judged(&rows));
        assert_eq!(judged(&rows[1..]).asks(), 1);
        let mut longer = rows.clone();
        for row in &mut longer {
            row.output_tokens *= 2;
        }
        assert_eq!(judged(&longer).asks(), 2);
    }
}
