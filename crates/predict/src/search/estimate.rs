//! Where the limit is thought to be, from the runs that were made.

use crate::outcome::{Outcome, decimals};
use crate::search::trial::{Length, Run, Settings, Simulator, Trial};

/// The first of `low..high`, by ratios and to within a share of `precision`, from which on `beyond` holds, if it holds from
/// somewhere on.
fn first_beyond(low: f64, high: f64, precision: f64, mut beyond: impl FnMut(f64) -> bool) -> f64 {
    let (mut low, mut high) = (low.ln(), high.ln());
    while high - low > precision {
        let middle = low + (high - low) / 2.0;
        match beyond(middle.exp()) {
            true => high = middle,
            false => low = middle,
        }
    }
    low.exp()
}

/// By how much everything must be slower than in the model for the latencies that decide to be those that were measured: the
/// time to first token, and the time per token.
pub(super) fn slower(simulator: &impl Simulator, run: &Run, measured: &Outcome) -> [f64; 2] {
    [0, 1].map(|k| {
        let reaches = |slower| {
            let outcome = simulator.outcome(run.target_qps, run.length, slower);
            outcome.deciding_ns[k] > measured.deciding_ns[k]
        };
        decimals(first_beyond(1.0 / 16.0, 16.0, 2e-4, reaches))
    })
}

/// The highest load that passes at official length with a model that is slower by so much, for either limit.
pub(super) fn highest(settings: &Settings, simulator: &impl Simulator, slower: [f64; 2]) -> f64 {
    highest_where(settings, |target_qps| {
        [0, 1].iter().all(|&k| {
            let outcome = simulator.outcome(target_qps, Length::Official, slower[k]);
            let allowed = outcome.allowed_over;
            outcome.unanswered == 0 && allowed.is_some_and(|most| outcome.over[k] <= most)
        })
    })
}

/// The load at which a probe comes as near to the limits as a run of official length does at its highest load: it sees fewer
/// bursts, and so takes more. What is measured there corrects the model where it is then asked, at the same latencies.
pub(super) fn probe_qps(
    settings: &Settings,
    simulator: &impl Simulator,
    slower: [f64; 2],
    length: Length,
) -> f64 {
    let limit_ns = [settings.limits.ttft_ns, settings.limits.tpot_ns];
    highest_where(settings, |target_qps| {
        [0, 1].iter().all(|&k| {
            let outcome = simulator.outcome(target_qps, length, slower[k]);
            outcome.deciding_ns[k] <= limit_ns[k]
        })
    })
}

fn highest_where(settings: &Settings, mut passes: impl FnMut(f64) -> bool) -> f64 {
    let Settings {
        lowest_qps,
        highest_qps,
        ..
    } = *settings;
    const PRECISION: f64 = 5e-4;
    let found = first_beyond(lowest_qps, highest_qps, PRECISION, |qps| !passes(qps));
    if found >= highest_qps * (1.0 - 2.0 * PRECISION) && passes(highest_qps) {
        return highest_qps;
    }
    decimals(found)
}

/// The limit, with what is not known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) qps: f64,
    /// Half the width of its interval, as a share of it.
    pub(super) half: f64,
    /// By how much everything must be slower than in the model, as far as is known.
    pub(super) slower: [f64; 2],
}

/// Probes count less the farther their load is from that of the last one, by this share.
const NEAR: f64 = 0.05;
/// Nothing is known better: the model's own steps, and loads that pass above others that do not.
const FLOOR: f64 = 0.01;
/// So much more does a sample of a run of official length count.
const OFFICIAL: f64 = 3.0;
/// Of one probe.
const UNKNOWN: f64 = 0.2;

/// What a run says of the limit, in logarithms.
struct Said {
    samples: f64,
    weight: f64,
    ln_qps: f64,
    ln_slower: [f64; 2],
}

fn mean(said: &[Said], of: impl Fn(&Said) -> f64) -> f64 {
    let all: f64 = said.iter().map(|said| said.weight).sum();
    said.iter().map(|said| said.weight * of(said)).sum::<f64>() / all
}

impl Estimate {
    /// Before any run: the model's word.
    pub(super) fn of_model(predicted_qps: f64) -> Self {
        Self {
            qps: predicted_qps,
            half: UNKNOWN,
            slower: [1.0; 2],
        }
    }

    /// Of what each run says, by its samples: those of official length count more, since that is what they are asked for, and
    /// of the probes the last ones. How far runs are apart is learned from the probes. None of no whole run.
    pub(super) fn of_trials(trials: &[Trial]) -> Option<Self> {
        let probes = said(trials, |length| length != Length::Official);
        let mut all = said(trials, |length| length == Length::Official);
        all.iter_mut().for_each(|said| said.weight *= OFFICIAL);
        let deviation = deviation(&probes);
        all.extend(probes);
        if all.is_empty() {
            return None;
        }
        let weights: f64 = all.iter().map(|said| said.weight).sum();
        let errors: f64 = all
            .iter()
            .map(|said| said.weight.powi(2) / said.samples)
            .sum();
        let half = deviation * errors.sqrt() / weights;
        Some(Self {
            qps: mean(&all, |said| said.ln_qps).exp(),
            half: half.clamp(FLOOR, UNKNOWN),
            slower: [0, 1].map(|k| mean(&all, |said| said.ln_slower[k]).exp()),
        })
    }

    /// A load that likely passes; the highest that is looked at needs no care.
    pub(super) fn cautious(&self, highest_qps: f64) -> f64 {
        if self.qps >= highest_qps * (1.0 - 1e-9) {
            return highest_qps;
        }
        self.qps * (-0.6 * self.half.min(0.02)).exp()
    }

    pub(super) fn interval(&self) -> [f64; 2] {
        [-self.half, self.half].map(|half| self.qps * half.exp())
    }
}

fn said(trials: &[Trial], of: impl Fn(Length) -> bool) -> Vec<Said> {
    let trials: Vec<&Trial> = trials.iter().filter(|trial| of(trial.run.length)).collect();
    let whole = || trials.iter().filter(|trial| trial.slower.is_some());
    let last = whole().next_back().map(|trial| trial.run.target_qps);
    whole()
        .filter_map(|trial| {
            let away = (trial.run.target_qps / last?).ln().abs();
            let samples = trial.measured.samples as f64;
            Some(Said {
                samples,
                weight: samples * (-away / NEAR).exp(),
                ln_qps: trial.highest_qps?.ln(),
                ln_slower: trial.slower?.map(f64::ln),
            })
        })
        .collect()
}

/// How far a run of one sample would be from the limit, in logarithms, with 95% confidence and if errors shrink with the root
/// of the samples: learned from how far probes are apart. Without any, or of one alone, as if nothing were known.
fn deviation(probes: &[Said]) -> f64 {
    let weights = |power| {
        probes
            .iter()
            .map(|said| said.weight.powi(power))
            .sum::<f64>()
    };
    // As many as would count as much were they all alike.
    let alike = weights(1).powi(2) / weights(2);
    if probes.len() < 2 || alike < 1.2 {
        let samples = probes.last().map_or(1e4, |said| said.samples);
        return UNKNOWN * samples.sqrt();
    }
    let centre = mean(probes, |said| said.ln_qps);
    let spread = mean(probes, |said| said.samples * (said.ln_qps - centre).powi(2));
    // Of few runs the spread is hardly known: Student's t, roughly.
    let t = 2.0 + 4.0 / (alike - 1.0);
    t * (spread * alike / (alike - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(number: usize, length: Length, says_qps: f64) -> Trial {
        let outcome = Outcome {
            samples: 1000,
            unanswered: 0,
            over: [0, 0],
            allowed_over: Some(4),
            percentile_ns: [1, 1],
            deciding_ns: [1, 1],
            ended_ns: 1,
            output_tokens: 1,
        };
        Trial {
            run: Run {
                number,
                target_qps: 100.0,
                length,
            },
            measured: outcome,
            valid: true,
            predicted: outcome,
            slower: Some([1.1, 0.9]),
            highest_qps: Some(says_qps),
        }
    }

    /// By hand, of probes that count alike: Student's t of their spread over the root of their number.
    #[test]
    fn an_interval_is_as_wide_as_runs_are_apart() {
        let probes = |says: &[f64]| -> Vec<Trial> {
            let probe =
                |(number, ln): (usize, &f64)| trial(number, Length::Probe(1000), 100.0 * ln.exp());
            says.iter().enumerate().map(probe).collect()
        };
        // Standard deviation 0.02; of two t is 6, of four 2 + 4 / 3.
        let two = Estimate::of_trials(&probes(&[0.0, 0.02 * 2.0_f64.sqrt()])).unwrap();
        assert!(
            (two.half - 6.0 * 0.02 / 2.0_f64.sqrt()).abs() < 1e-9,
            "{two:?}"
        );
        let four = probes(&[-0.01, 0.01, -0.01, 0.01]);
        let spread = (4.0_f64 / 3.0).sqrt() * 0.01;
        let found = Estimate::of_trials(&four).unwrap();
        assert!(
            (found.half - (2.0 + 4.0 / 3.0) * spread / 2.0).abs() < 1e-9,
            "{found:?}"
        );
        assert!((found.qps - 100.0).abs() < 1e-9 && (found.slower[0] - 1.1).abs() < 1e-9);
        // Nothing is known of one alone, nor better than the floor of many that agree.
        assert_eq!(Estimate::of_trials(&probes(&[0.0])).unwrap().half, UNKNOWN);
        assert_eq!(Estimate::of_trials(&probes(&[0.0; 5])).unwrap().half, FLOOR);
        assert!(Estimate::of_trials(&[]).is_none());
    }

    #[test]
    fn a_run_of_official_length_counts_more() {
        let trials = [
            trial(0, Length::Probe(1000), 100.0),
            trial(1, Length::Official, 104.0),
        ];
        let found = Estimate::of_trials(&trials).unwrap();
        let expected = (100.0_f64.ln() + OFFICIAL * 104.0_f64.ln()) / (1.0 + OFFICIAL);
        assert!((found.qps.ln() - expected).abs() < 1e-9, "{found:?}");
    }

    /// A tenth away from the last one is two times `NEAR`.
    #[test]
    fn probes_near_the_last_one_count_more() {
        let mut far = trial(0, Length::Probe(1000), 90.0);
        far.run.target_qps = 100.0 * 0.1_f64.exp();
        let found = Estimate::of_trials(&[far, trial(1, Length::Probe(1000), 100.0)]).unwrap();
        let weight = (-0.1 / NEAR).exp();
        let expected = (weight * 90.0_f64.ln() + 100.0_f64.ln()) / (1.0 + weight);
        assert!((found.qps.ln() - expected).abs() < 1e-9, "{found:?}");
    }

    /// At the estimate itself every second run fails.
    #[test]
    fn runs_of_official_length_begin_below_the_estimate() {
        let estimate = Estimate {
            half: 0.01,
            ..Estimate::of_model(100.0)
        };
        assert!((estimate.cautious(1000.0) - 100.0 * (-0.006_f64).exp()).abs() < 1e-9);
        let unsure = Estimate::of_model(100.0);
        assert!((unsure.cautious(1000.0) - 100.0 * (-0.012_f64).exp()).abs() < 1e-9);
        assert_eq!(estimate.cautious(100.0), 100.0);
    }
}
