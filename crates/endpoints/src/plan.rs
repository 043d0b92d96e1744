//! `endpoints plan`: which points make a curve, how many requests each needs, and how long that takes.
//!
//! A point's requests are whole passes over the data set, at least as many as the steady-state detector needs, and as many as
//! the least duration asks for. With C requests under way, each taking s seconds, C/s end in a second. Facts: §2, §3.

use serde::Serialize;

use crate::regions::{OutOfRange, Regions};
use crate::rules::rules;

/// What is planned for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The maximum supported concurrency.
    pub c_max: i128,
    /// The lowest concurrency.
    pub c_min: i128,
    /// Whether C_min is declared with `c_min_override`.
    pub is_declared: bool,
    /// An Offline run of its own; else the point at C_max is elected.
    pub is_dedicated: bool,
    /// Concurrency and seconds of an answer, measured or guessed.
    pub seconds: Vec<(i128, f64)>,
}

/// A curve to be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Of this C_max and C_min.
    pub regions: Regions,
    /// Lowest concurrency first.
    pub points: Vec<Point>,
    /// Of all points' performance runs.
    pub hours: Option<f64>,
    /// Regions that no concurrency lies in: no curve of this C_max and C_min can be submitted.
    pub empty_regions: Vec<&'static str>,
    /// For the client's `scheduler_random_seed`, `dataloader_random_seed` and `model_params.seed`, by seed set.
    pub seeds: Vec<Seeds>,
}

/// One point.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Requests under way.
    pub concurrency: i128,
    /// Where it lies.
    pub region: &'static str,
    /// `elected` or `dedicated` where it is the Offline result.
    pub offline: Option<&'static str>,
    /// An accuracy run belongs to it.
    pub accuracy: bool,
    /// Over the data set.
    pub passes: i128,
    /// The client's `n_samples_to_issue`.
    pub requests: i128,
    /// Of the performance run.
    pub hours: Option<f64>,
}

/// A published set.
#[derive(Clone, Debug, Serialize)]
pub struct Seeds {
    /// `seed_set` in point.yaml.
    pub set: &'static str,
    /// `scheduler_random_seed`.
    pub scheduler: u64,
    /// `dataloader_random_seed`.
    pub sample_index: u64,
    /// `model_params.seed`.
    pub model: u64,
    /// Where it may be used.
    pub cohorts: &'static [String],
}

/// The benchmark's performance data set.
const DATASET: &str = "mlperf_gpt_oss_performance";
const ULTRA_LOW: i128 = 32;

/// Plans a curve of 7 points, 8 with a dedicated Offline run.
///
/// # Errors
/// C_min outside 1 to 32, C_max not above 32, or above the rows of the data set with a dedicated Offline run.
pub fn plan(options: &Options) -> Result<Plan, OutOfRange> {
    let regions = Regions::new(options.c_max, options.c_min, options.is_declared)?;
    let pass = rules().datasets.get(DATASET).map_or(0, |pass| pass.value);
    if options.is_dedicated && options.c_max > pass {
        return Err(OutOfRange::Dedicated(options.c_max, pass));
    }
    let named = [
        ("low_concurrency", regions.low_concurrency),
        ("med_concurrency", regions.med_concurrency),
        ("high_concurrency", regions.high_concurrency),
    ];
    let empty = named
        .iter()
        .filter(|(_, bounds)| bounds.first > bounds.last);
    let empty_regions: Vec<&str> = empty.map(|(name, _)| *name).collect();
    // One for each region that has to be covered, at its end, where it tells most of it.
    let mandatory: Vec<i128> = [options.c_min]
        .into_iter()
        .chain(
            named
                .iter()
                .filter(|(_, b)| b.first <= b.last)
                .map(|(_, b)| b.last),
        )
        .collect();
    let mut chosen = mandatory.clone();
    while chosen.len() < rules().points.least.value {
        let Some(next) = in_the_widest_gap(&chosen) else {
            break;
        };
        chosen.push(next);
        chosen.sort_unstable();
    }
    let mut points: Vec<Point> = chosen
        .iter()
        .map(|&concurrency| {
            let is_elected = concurrency == options.c_max && !options.is_dedicated;
            let passes = passes(concurrency, pass, &options.seconds);
            Point {
                concurrency,
                region: regions.of(concurrency).unwrap_or_default(),
                offline: is_elected.then_some("elected"),
                accuracy: mandatory.contains(&concurrency),
                passes,
                requests: passes * pass,
                hours: hours(concurrency, passes * pass, &options.seconds),
            }
        })
        .collect();
    if options.is_dedicated {
        // All rows at once: as fast as the server is when it is full.
        points.push(Point {
            concurrency: pass,
            region: regions.of(pass).unwrap_or_default(),
            offline: Some("dedicated"),
            accuracy: true,
            passes: 1,
            requests: pass,
            hours: hours(options.c_max, pass, &options.seconds),
        });
    }
    let seeds = rules().seeds.set.iter().map(|(set, seeds)| Seeds {
        set,
        scheduler: seeds.scheduler,
        sample_index: seeds.sample_index,
        model: seeds.model,
        cohorts: &seeds.cohorts,
    });
    Ok(Plan {
        regions,
        hours: points.iter().map(|point| point.hours).sum(),
        points,
        empty_regions,
        seeds: seeds.collect(),
    })
}

/// The geometric mean of the two neighbours that are furthest apart, in proportion.
fn in_the_widest_gap(chosen: &[i128]) -> Option<i128> {
    let gaps = chosen.windows(2).filter(|pair| pair[1] - pair[0] > 1);
    let widest = gaps.max_by(|a, b| {
        let ratio = |pair: &[i128]| pair[1] as f64 / pair[0] as f64;
        ratio(a).total_cmp(&ratio(b))
    })?;
    let mean = (widest[0] as f64 * widest[1] as f64).sqrt().round() as i128;
    Some(mean.clamp(widest[0] + 1, widest[1] - 1))
}

/// Between two given ones in proportion to the logarithm of the concurrency; beyond them as at the nearest.
fn seconds(concurrency: i128, given: &[(i128, f64)]) -> Option<f64> {
    let mut given = given.to_vec();
    given.sort_by_key(|(at, _)| *at);
    let below = given.iter().rfind(|(at, _)| *at <= concurrency).copied();
    let above = given.iter().find(|(at, _)| *at >= concurrency).copied();
    match (below, above) {
        (Some((a, s)), Some((b, _))) if a == b => Some(s),
        (Some((a, s)), Some((b, t))) => {
            let share = (concurrency as f64 / a as f64).ln() / (b as f64 / a as f64).ln();
            Some(s + (t - s) * share)
        }
        (one, other) => one.or(other).map(|(_, seconds)| seconds),
    }
}

/// Enough for a window of the detector, after the pass that it leaves out, that lasts as long as the rules ask.
fn passes(concurrency: i128, pass: i128, given: &[(i128, f64)]) -> i128 {
    const MS_PER_S: f64 = 1000.0;
    let points = &rules().points;
    let least = i128::from(points.least_passes.value);
    let Some(seconds) = seconds(concurrency, given) else {
        return least;
    };
    let least_s = if concurrency <= ULTRA_LOW {
        points.min_duration_ms_ultra_low.value / MS_PER_S
    } else {
        points.min_duration_ms.value / MS_PER_S
    };
    let pass_s = pass as f64 * seconds / concurrency as f64;
    least.max((least_s / pass_s).ceil() as i128 + 1)
}

fn hours(concurrency: i128, requests: i128, given: &[(i128, f64)]) -> Option<f64> {
    const S_PER_HOUR: f64 = 3600.0;
    let seconds = seconds(concurrency, given)?;
    Some(requests as f64 * seconds / concurrency as f64 / S_PER_HOUR)
}
