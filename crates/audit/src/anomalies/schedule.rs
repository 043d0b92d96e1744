//! What was issued, and when, against the schedule that the seeds give: LoadGen's generators leave no choice.

use ossmark_predict::{Plan, Query, at_once, offline, server};
use ossmark_record::Row;

use crate::finding::{Finding, Findings, Level};
use crate::kind::Kind;
use crate::logged::Logged;

/// LoadGen prints rates with six digits.
const SIX_DIGITS: f64 = 2e-5;
/// Clocks of one machine agree better than this.
const EARLY_NS: i64 = 1_000_000;
/// A record has its times by another clock than LoadGen's, read a moment after it: a busy machine does other things in between,
/// now and then for some milliseconds.
const JITTER_NS: f64 = 1e6;
const LONG_JITTER_NS: u64 = 100_000_000;
/// The share of samples to which that happens.
const NOW_AND_THEN: f64 = 0.02;

/// The queries of a log's run; else it is said why they are not looked at.
pub(super) fn queries(log: &Logged, place: &str, found: &mut Findings) -> Option<Vec<Query>> {
    match log.plan() {
        Ok(plan) if log.is_offline() => Some(at_once(&offline(&plan))),
        Ok(plan) => Some(server(&plan)),
        Err(why) => {
            found.skip(format!("{place}: the schedule of the seeds, because {why}"));
            None
        }
    }
}

/// The log's own figures.
pub(super) fn of_log(log: &Logged, queries: &[Query], place: &str, found: &mut Findings) {
    let Ok(plan) = log.plan() else { return };
    loaded(log, &plan, place, found);
    if let Some(samples) = log.samples() {
        count(samples as usize, queries.len(), &plan, place, found);
    }
    let last = queries.last().map_or(0, |query| query.due_ns) as f64;
    if log.is_offline() || last <= 0.0 {
        return;
    }
    let expected = (queries.len() - 1) as f64 / last * 1e9;
    let counted = log.samples() == Some(queries.len() as f64);
    let scheduled = log.positive("result_scheduled_samples_per_sec");
    if let Some(scheduled) = scheduled.filter(|_| counted)
        && (scheduled / expected - 1.0).abs() > SIX_DIGITS
    {
        found.add(Finding::new(
            Kind::ScheduleTimes,
            Level::Ask,
            place,
            format!("result_scheduled_samples_per_sec {scheduled}"),
            format!("{expected:.6}, which these seeds and target_qps give, always"),
        ));
    }
    let duration = log.positive("generated_query_duration");
    let longest = last * (1.0 + SIX_DIGITS) + 60e9 / plan.target_qps;
    if let Some(duration) = duration.filter(|_| counted)
        && !(last * (1.0 - SIX_DIGITS)..=longest).contains(&duration)
    {
        found.add(Finding::new(
            Kind::ScheduleTimes,
            Level::Ask,
            place,
            format!("generated_query_duration {duration} ns"),
            format!("a little more than {last} ns, when the last query is due by these seeds"),
        ));
    }
}

/// The set that was loaded.
fn loaded(log: &Logged, plan: &Plan, place: &str, found: &mut Findings) {
    let Some(set) = log.loaded_set() else {
        return found.skip(format!(
            "{place}: the samples that were loaded; its log does not say"
        ));
    };
    let once = Plan {
        min_duration_ms: 0,
        min_query_count: u64::from(plan.loaded_samples.get()),
        equal_issue: false,
        issue_unique: false,
        ..plan.clone()
    };
    let expected = offline(&once);
    let differ =
        set.len() != expected.len() || set.iter().zip(&expected).any(|(a, b)| *a != u64::from(*b));
    if differ {
        found.add(Finding::new(
            Kind::ScheduleOrder,
            Level::Ask,
            place,
            format!("loaded_qsl_set of {} samples in another order", set.len()),
            format!(
                "{} samples in the order that qsl_rng_seed gives, always",
                expected.len()
            ),
        ));
    }
}

/// How many were issued. A rate of six digits may lie to either side of a whole number of queries.
fn count(issued: usize, expected: usize, plan: &Plan, place: &str, found: &mut Findings) {
    let whole = match plan.equal_issue {
        true => plan.loaded_samples.get() as usize,
        false => 1,
    };
    let off = issued.abs_diff(expected);
    if off == 0 {
        return;
    }
    let level = if off > whole { Level::Ask } else { Level::Note };
    found.add(Finding::new(
        Kind::ScheduleTimes,
        level,
        place,
        format!("{issued} samples issued"),
        format!("{expected}, which the settings in the log give"),
    ));
}

/// A record's rows, in order of issue.
pub(super) fn of_rows(rows: &[Row], queries: &[Query], place: &str, found: &mut Findings) {
    let differ = rows
        .iter()
        .zip(queries)
        .filter(|(row, query)| row.sample_index != query.sample);
    let differ = differ.count();
    if differ > 0 {
        found.add(Finding::new(
            Kind::ScheduleOrder,
            Level::Ask,
            place,
            format!(
                "{differ} of {} samples are others than the seeds give",
                rows.len()
            ),
            "none, always",
        ));
    }
    let Some(start) = start(rows, queries) else {
        return found.skip(format!(
            "{place}: when samples were due; the record does not say"
        ));
    };
    let off = |(row, query): (&Row, &Query)| {
        let off = row.scheduled_ns?.saturating_sub(start);
        let off = off.saturating_sub(due(query));
        // The rate in the log has six digits.
        let allowed = JITTER_NS + query.due_ns as f64 * SIX_DIGITS;
        (off.unsigned_abs() as f64 > allowed).then_some(off)
    };
    let off: Vec<i64> = rows.iter().zip(queries).filter_map(off).collect();
    if let Some(most) = off.iter().max_by_key(|off| off.unsigned_abs()) {
        let is_jitter = off.len() as f64 <= NOW_AND_THEN * rows.len() as f64
            && most.unsigned_abs() <= LONG_JITTER_NS;
        found.add(Finding::new(
            Kind::ScheduleTimes,
            if is_jitter { Level::Note } else { Level::Ask },
            place,
            format!(
                "{} of {} samples were due at other times, by up to {most} ns",
                off.len(),
                rows.len()
            ),
            "none, to a millisecond; on a busy machine some, to some ten",
        ));
    }
    let early = rows.iter().filter(|row| {
        let times = row.issued_ns.zip(row.scheduled_ns);
        times.is_some_and(|(issued, due)| issued < due.saturating_sub(EARLY_NS))
    });
    let early = early.count();
    if early > 0 {
        found.add(Finding::new(
            Kind::IssuedEarly,
            Level::Ask,
            place,
            format!("{early} samples were issued more than 1 ms before they were due"),
            "none: LoadGen waits until a query is due",
        ));
    }
}

fn due(query: &Query) -> i64 {
    i64::try_from(query.due_ns).unwrap_or(i64::MAX)
}

/// When the schedule begins, by the record's clock: what the first rows say in the middle, since any of them may be late.
fn start(rows: &[Row], queries: &[Query]) -> Option<i64> {
    let starts = rows.iter().zip(queries).take(101);
    let starts =
        starts.filter_map(|(row, query)| Some(row.scheduled_ns?.saturating_sub(due(query))));
    let mut starts: Vec<i64> = starts.collect();
    starts.sort_unstable();
    starts.get(starts.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::super::honest;
    use super::*;

    fn names(found: &Findings) -> Vec<&str> {
        found.findings.iter().map(|f| f.name).collect()
    }

    #[test]
    fn rows_of_these_seeds_are_as_usual_and_others_are_not() {
        let (log, rows) = honest::server(1);
        let mut found = Findings::default();
        let queries = queries(&log, "run", &mut found).unwrap();
        of_log(&log, &queries, "run", &mut found);
        of_rows(&rows, &queries, "run", &mut found);
        assert_eq!(found, Findings::default());

        let mut swapped = rows.clone();
        let first = swapped[0].sample_index;
        swapped[0].sample_index = swapped[1].sample_index;
        swapped[1].sample_index = first;
        let mut found = Findings::default();
        of_rows(&swapped, &queries, "run", &mut found);
        assert_eq!(names(&found), [Kind::ScheduleOrder.name()]);

        let mut slower = rows.clone();
        for row in &mut slower {
            row.scheduled_ns = row.scheduled_ns.map(|due| due + due / 100);
            row.issued_ns = row.scheduled_ns;
        }
        let mut found = Findings::default();
        of_rows(&slower, &queries, "run", &mut found);
        assert_eq!(names(&found), [Kind::ScheduleTimes.name()]);

        // One reading of a clock that was late, and one that was made up.
        for (at, ns, level) in [
            (0, 20_000_000, Level::Note),
            (9, 20_000_000, Level::Note),
            (9, 500_000_000, Level::Ask),
        ] {
            let mut late = rows.clone();
            let row = &mut late[at];
            for time in [&mut row.scheduled_ns, &mut row.issued_ns] {
                *time = time.map(|time| time + ns);
            }
            let mut found = Findings::default();
            of_rows(&late, &queries, "run", &mut found);
            let levels: Vec<Level> = found.findings.iter().map(|f| f.level).collect();
            assert_eq!(
                (names(&found), levels),
                (vec![Kind::ScheduleTimes.name()], vec![level])
            );
        }

        // So many late are no accidents of a clock, however little each.
        let mut late = rows.clone();
        for row in late.iter_mut().step_by(20) {
            row.scheduled_ns = row.scheduled_ns.map(|time| time + 20_000_000);
            row.issued_ns = row.scheduled_ns;
        }
        let mut found = Findings::default();
        of_rows(&late, &queries, "run", &mut found);
        assert_eq!(found.asks(), 1, "{found:?}");

        let mut early = rows;
        early[5].issued_ns = early[5].scheduled_ns.map(|due| due - 5_000_000);
        let mut found = Findings::default();
        of_rows(&early, &queries, "run", &mut found);
        assert_eq!(names(&found), [Kind::IssuedEarly.name()]);
    }

    /// The rate in the log may lie to either side of a whole number of queries, and with equal issue of whole permutations.
    #[test]
    fn a_query_more_or_less_is_no_question_and_ten_are() {
        let plan = |equal_issue| Plan {
            target_qps: 1.0,
            min_duration_ms: 1,
            min_query_count: 1,
            loaded_samples: std::num::NonZeroU32::new(10).unwrap(),
            equal_issue,
            issue_unique: false,
            seeds: ossmark_predict::Seeds {
                qsl: 1,
                sample_index: 2,
                schedule: 3,
            },
        };
        for (issued, equal_issue, expected) in [
            (100, false, None),
            (101, false, Some(Level::Note)),
            (99, false, Some(Level::Note)),
            (110, false, Some(Level::Ask)),
            (110, true, Some(Level::Note)),
            (120, true, Some(Level::Ask)),
        ] {
            let mut found = Findings::default();
            count(issued, 100, &plan(equal_issue), "run", &mut found);
            let level = found.findings.first().map(|one| one.level);
            assert_eq!(level, expected, "{issued} {equal_issue}");
        }
    }

    #[test]
    fn a_log_with_other_counts_rates_or_samples_is_found() {
        for (key, value, kind) in [
            ("generated_query_count", 900.into(), Kind::ScheduleTimes),
            ("generated_query_duration", 1.into(), Kind::ScheduleTimes),
            (
                "result_scheduled_samples_per_sec",
                49.0.into(),
                Kind::ScheduleTimes,
            ),
            (
                "loaded_qsl_set",
                serde_json::json!([1, 2, 3]),
                Kind::ScheduleOrder,
            ),
        ] {
            let log = honest::server_log(1, Some((key, value)));
            let mut found = Findings::default();
            let queries = queries(&log, "run", &mut found).unwrap();
            of_log(&log, &queries, "run", &mut found);
            assert!(names(&found).contains(&kind.name()), "{key}: {found:?}");
        }
    }
}
