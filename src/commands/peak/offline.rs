//! Offline has no load: all samples are there at once. What is looked for is a target_qps with which LoadGen issues enough of
//! them for its shortest duration. One probe says how fast they are answered; the rate of the official run is the result.

use anyhow::Result;
use ossmark_record::Row;
use ossmark_report::number::shown;

use super::asked::{Asked, short};
use super::runs::{Made, Runs};
use super::state::{Rates, State};
use crate::cli::PeakArgs;
use crate::run::serving::six_digits;
use crate::terminal::{progress, say};

/// The name of the probe.
pub(super) const PROBE: &str = "01-probe";

/// The name of a run of official length, from 0.
pub(super) fn name(official: usize) -> String {
    format!("{:02}-official", official + 2)
}

/// LoadGen issues a tenth more than `target_qps` asks for; so much of that is kept in hand.
const IN_HAND: f64 = 1.02;

/// Makes the probe and runs of official length until one is VALID; returns the last, if there is any.
pub(super) fn size(
    args: &PeakArgs,
    asked: &Asked,
    runs: &Runs,
    state: &mut State,
) -> Result<Option<Made>> {
    let mut rates = state.known.offline.clone().unwrap_or_default();
    let probed = match rates.probed {
        Some(rate) => rate,
        None => {
            let rate = probe(args, asked, runs)?;
            rates.probed = Some(rate);
            keep(state, &rates)?;
            rate
        }
    };
    let (mut next, mut spent_s) = (six_digits(probed * IN_HAND), 0.0);
    let mut last = None;
    for n in 0..args.official_runs as usize {
        if args.budget.is_some_and(|budget| spent_s >= budget as f64) {
            break;
        }
        let target_qps = match rates.official.get(n) {
            Some(qps) => *qps,
            None => {
                rates.official.push(next);
                keep(state, &rates)?;
                next
            }
        };
        progress!("peak: {} for {} samples/s ...", name(n), shown(target_qps));
        let conf = asked.conf_with(&[("target_qps", target_qps.to_string())]);
        let made = runs.make(&name(n), &conf, &[])?;
        let rate = made.metric("samples_per_second").unwrap_or(0.0);
        let seconds = made.rows.len() as f64 / rate.max(f64::MIN_POSITIVE);
        say!(
            "{:<12} {:>10} samples/s in {} s, {}",
            name(n),
            shown(rate),
            shown(seconds),
            if made.is_valid() {
                "VALID"
            } else {
                "not VALID"
            }
        );
        spent_s += seconds;
        let is_valid = made.is_valid();
        last = Some(made);
        if is_valid {
            break;
        }
        // It was over too soon: it must have more samples.
        next = six_digits((rate * IN_HAND).max(target_qps * 1.05));
    }
    Ok(last)
}

fn keep(state: &mut State, rates: &Rates) -> Result<()> {
    state.known.offline = Some(rates.clone());
    state.write()
}

fn probe(args: &PeakArgs, asked: &Asked, runs: &Runs) -> Result<f64> {
    let samples = u64::from(args.probe_samples);
    progress!("peak: {PROBE} of {samples} samples ...");
    let mut set = vec![("target_qps", "1".to_owned())];
    set.extend(short(1, samples));
    let made = runs.make(PROBE, &asked.conf_with(&set), &[])?;
    let whole = made.metric("samples_per_second").unwrap_or(0.0);
    // In the end fewer and fewer are served at once: a long run's rate is that of the middle.
    let rate = middle(&made.rows).unwrap_or(whole).max(whole);
    say!(
        "{PROBE:<12} {:>10} samples/s, {} in its middle",
        shown(whole),
        shown(rate)
    );
    Ok(six_digits(rate))
}

/// Samples a second between the first tenth of the answers and the first six tenths.
fn middle(rows: &[Row]) -> Option<f64> {
    let mut ended: Vec<i64> = rows.iter().filter_map(|row| row.completed_ns).collect();
    ended.sort_unstable();
    let (from, to) = (ended.len() / 10, ended.len() * 6 / 10);
    let ns = ended.get(to)? - ended.get(from)?;
    (ns > 0).then(|| (to - from) as f64 * 1e9 / ns as f64)
}

#[cfg(test)]
mod tests {
    use ossmark_record::End;

    use super::*;

    #[test]
    fn the_middle_knows_no_beginning_and_no_end() {
        let row = |completed_ns: i64| Row {
            request: 0,
            sample_index: 0,
            prompt_tokens: 1,
            output_tokens: 2,
            scheduled_ns: None,
            issued_ns: Some(0),
            first_token_ns: None,
            completed_ns: Some(completed_ns),
            end: End::Stop,
            engine: 0,
        };
        // Ten a second after a slow start, and a long tail.
        let mut rows: Vec<Row> = (0..80)
            .map(|i| row(5_000_000_000 + i * 100_000_000))
            .collect();
        rows.extend((0..20).map(|i| row(20_000_000_000 + i * 1_000_000_000)));
        assert_eq!(middle(&rows), Some(10.0));
        assert_eq!(middle(&rows[..1]), None);
        assert_eq!(middle(&[]), None);
    }
}
