//! What differs between runs, and whether it is more than noise.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::bootstrap::{Dice, middle};
use crate::metric::{METRICS, Metric};
use crate::run::Run;

/// The difference that is called noise whatever its interval, unless somebody says otherwise.
pub const FLOOR: f64 = 0.01;
/// How often the intervals of all metrics hold at once.
const CONFIDENCE: f64 = 0.95;
/// The same run drawn again gives the same intervals.
const SEED: u64 = 20_261_129;

/// What differs between side A and side B. Values are in the order of the runs: all of A, then all of B.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The runs' directories.
    pub runs: Vec<String>,
    /// What of each run is missing, or could not be read.
    pub missing: Vec<Vec<String>>,
    /// How many of them are side A.
    pub a: usize,
    /// What the intervals come from.
    pub units: Units,
    /// Differences smaller than this share are noise.
    pub floor: f64,
    /// Settings that differ between any two runs.
    pub settings: Vec<Setting>,
    /// Metrics that every run has.
    pub metrics: Vec<Compared>,
    /// Whether there are metrics, and the difference of each is no more than noise.
    pub noise: bool,
}

/// What is drawn again for an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Units {
    /// Samples, and seconds of the steady part for the throughput: what differs from run to run is not in the interval.
    Samples,
    /// Runs, with two or more on each side.
    Runs,
}

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Where it stands in run_plan.json; LoadGen's as `loadgen.NAME`.
    pub name: String,
    /// Its values; null where a run has none.
    pub values: Vec<Value>,
}

/// A metric, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its name, with its unit at the end.
    pub name: &'static str,
    /// A value each run.
    pub values: Vec<f64>,
    /// B by A.
    pub ratio: f64,
    /// Where the ratio lies; null where it cannot be told (no record). The intervals of all metrics hold at once in 95 of 100
    /// comparisons: each is as much wider as their number asks for (Bonferroni).
    pub interval: Option<[f64; 2]>,
    /// Whether the difference is no more than noise: below the floor, or 1 is inside the interval. Null without an interval.
    pub noise: Option<bool>,
}

/// Compares side A with side B, each of one run or more.
pub fn compare(a: &[Run], b: &[Run], floor: f64) -> Comparison {
    let all: Vec<&Run> = a.iter().chain(b).collect();
    let sides = Sides {
        a: a.iter().collect(),
        b: b.iter().collect(),
    };
    let units = match a.len() > 1 && b.len() > 1 {
        true => Units::Runs,
        false => Units::Samples,
    };
    let values = |metric: Metric| {
        all.iter()
            .map(|run| metric.value(run))
            .collect::<Option<Vec<f64>>>()
    };
    let known: Vec<(Metric, Vec<f64>)> = METRICS
        .into_iter()
        .filter_map(|m| Some((m, values(m)?)))
        .collect();
    // Bonferroni's correction.
    let wide = 1.0 - (1.0 - CONFIDENCE) / known.len().max(1) as f64;
    let mut metrics = Vec::new();
    for (metric, values) in known {
        let (ratio, interval) = match units {
            Units::Runs => sides.by_runs(&values, wide),
            Units::Samples => sides.by_samples(metric, &values, wide),
        };
        let Some(ratio) = ratio.filter(|ratio| ratio.is_finite()) else {
            continue;
        };
        let noise =
            interval.map(|[low, high]| (ratio - 1.0).abs() < floor || (low <= 1.0 && 1.0 <= high));
        metrics.push(Compared {
            name: metric.name,
            values,
            ratio,
            interval,
            noise,
        });
    }
    Comparison {
        runs: all
            .iter()
            .map(|run| run.dir.display().to_string())
            .collect(),
        missing: all.iter().map(|run| run.missing()).collect(),
        a: a.len(),
        units,
        floor,
        settings: settings(&all),
        noise: !metrics.is_empty() && metrics.iter().all(|metric| metric.noise == Some(true)),
        metrics,
    }
}

struct Sides<'a> {
    a: Vec<&'a Run>,
    b: Vec<&'a Run>,
}

/// The ratio and its interval.
type Found = (Option<f64>, Option<[f64; 2]>);

impl Sides<'_> {
    fn by_samples(&self, metric: Metric, values: &[f64], wide: f64) -> Found {
        let (a, b) = values.split_at(self.a.len());
        let ratio = mean(b) / mean(a);
        let mut dice = Dice::new(SEED);
        let draws = metric
            .draws(&self.a, &mut dice)
            .zip(metric.draws(&self.b, &mut dice));
        let ratios = draws.map(|(a, b)| b.iter().zip(&a).map(|(b, a)| b / a).collect::<Vec<f64>>());
        let ratios = ratios.filter(|ratios| ratios.iter().all(|ratio| ratio.is_finite()));
        let Some(mut ratios) = ratios else {
            return (Some(ratio), None);
        };
        (Some(ratio), middle(&mut ratios, wide))
    }

    /// Welch's interval of the difference of the logarithms' means: ratios multiply.
    fn by_runs(&self, values: &[f64], wide: f64) -> Found {
        let (a, b) = values.split_at(self.a.len());
        if values.iter().any(|value| *value <= 0.0) {
            return (Some(mean(b) / mean(a)), None);
        }
        let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<f64>>();
        let (a, b) = (logs(a), logs(b));
        let difference = mean(&b) - mean(&a);
        let (va, vb) = (variance_of_mean(&a), variance_of_mean(&b));
        let freedom = match va + vb {
            0.0 => 1.0,
            all => all * all / (va * va / (a.len() - 1) as f64 + vb * vb / (b.len() - 1) as f64),
        };
        let interval = StudentsT::new(0.0, 1.0, freedom).ok().map(|student| {
            let half = student.inverse_cdf((1.0 + wide) / 2.0) * (va + vb).sqrt();
            [(difference - half).exp(), (difference + half).exp()]
        });
        (Some(difference.exp()), interval)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance_of_mean(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    squares / (values.len() - 1) as f64 / values.len() as f64
}

fn settings(runs: &[&Run]) -> Vec<Setting> {
    let all: Vec<_> = runs.iter().map(|run| run.settings()).collect();
    let names: BTreeSet<&String> = all.iter().flat_map(|settings| settings.keys()).collect();
    let setting = |name: &String| Setting {
        name: name.clone(),
        values: all
            .iter()
            .map(|settings| settings.get(name).cloned().unwrap_or_default())
            .collect(),
    };
    let differs = |setting: &Setting| setting.values.windows(2).any(|pair| pair[0] != pair[1]);
    names.into_iter().map(setting).filter(differs).collect()
}
