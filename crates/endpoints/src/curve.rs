//! `endpoints report`: what a tree, or a rehearsal, says of its points, for the page.

use std::path::{Path, PathBuf};

use ossmark_report::{Curve, CurvePoint, Spread};

use crate::check::provisioned_kw;
use crate::error::Error;
use crate::model::point::Point;
use crate::model::summary::{Statistics, Summary};
use crate::value::Value;
use crate::yaml;

/// Of one file; the client's are some kilobytes.
const MOST_BYTES: u64 = 4 << 20;
const MOST_ENTRIES: usize = 10_000;

/// The points below a directory: a rehearsal's, a model's folder of a tree, or a tree with one.
///
/// # Errors
/// [`Error::NoCurve`] where there are no points, or those of several curves.
pub fn curve(dir: &Path) -> Result<Curve, Error> {
    let none = |found: String| Error::NoCurve {
        path: dir.into(),
        found,
    };
    let mut holders = Vec::new();
    holders_of_points(dir, 0, &mut holders);
    let holder = match &holders[..] {
        [one] => one,
        [] => return Err(none("found no folder with points (r8 and the like)".into())),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|dir| dir.display().to_string())
                .collect();
            return Err(none(format!(
                "found {} curves ({})",
                several.len(),
                names.join(", ")
            )));
        }
    };
    let mut curve = Curve {
        title: format!("Endpoints curve {}", holder.display()),
        ..Curve::default()
    };
    let mut folders = points(holder);
    folders.sort();
    for (concurrency, dir) in folders {
        match point(concurrency, &dir) {
            Some(point) => curve.points.push(point),
            None => curve.notices.push(format!(
                "r{concurrency}: has no result_summary.json that can be read, and is left out"
            )),
        }
    }
    let stamped = holder.join("rehearsal.json").exists()
        || points_of(holder)
            .any(|dir| json(&summary_file(&dir)).is_some_and(|value| has(&value, "rehearsal")));
    if stamped {
        curve.notices.push(crate::rehearsal::STAMP.into());
    }
    Ok(curve)
}

fn has(value: &Value, name: &str) -> bool {
    value.map().is_some_and(|map| map.get(name).is_some())
}

/// Folders that hold points, at most five levels down: organisation, submission, results, system, model.
fn holders_of_points(dir: &Path, level: usize, found: &mut Vec<PathBuf>) {
    const MOST_LEVELS: usize = 5;
    if points_of(dir).next().is_some() {
        found.push(dir.to_owned());
        return;
    }
    if level >= MOST_LEVELS || found.len() > MOST_LEVELS {
        return;
    }
    let mut folders = folders(dir);
    folders.sort();
    for folder in folders {
        holders_of_points(&folder, level + 1, found);
    }
}

/// Links are not followed: a tree that leads back into itself would not end.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let entries = entries.take(MOST_ENTRIES);
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn points(dir: &Path) -> Vec<(u64, PathBuf)> {
    let folders = folders(dir).into_iter();
    let named = folders.filter_map(|folder| {
        let digits = folder.file_name()?.to_str()?.strip_prefix('r')?;
        Some((digits.parse().ok()?, folder))
    });
    named.collect()
}

fn points_of(dir: &Path) -> impl Iterator<Item = PathBuf> {
    points(dir).into_iter().map(|(_, dir)| dir)
}

fn summary_file(dir: &Path) -> PathBuf {
    let below = dir.join("performance/result_summary.json");
    if below.exists() {
        below
    } else {
        dir.join("result_summary.json")
    }
}

fn text(file: &Path) -> Option<String> {
    let bytes = crate::client::bytes(file, MOST_BYTES).ok()?;
    String::from_utf8(bytes).ok()
}

fn json(file: &Path) -> Option<Value> {
    ossmark_json::loads(&text(file)?).ok()
}

/// `None` where there is no summary that can be read.
fn point(concurrency: u64, dir: &Path) -> Option<CurvePoint> {
    let value = json(&summary_file(dir))?;
    let summary = Summary::read(&value).ok()?;
    let declared = text(&dir.join("point.yaml")).and_then(|text| yaml::load(&text).ok());
    let declared = declared.and_then(|value| Point::read(&value).ok());
    let steady = declared
        .as_ref()
        .and_then(|point| point.steady_state.as_ref());
    let steady = steady.map(|block| {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "not said".into());
        format!("{} ({})", shown(&block.verdict), shown(&block.status))
    });
    let region = declared.as_ref().map(|point| {
        let region = point.region.as_deref().unwrap_or("-");
        match point.offline.as_deref() {
            None | Some("none") => region.to_owned(),
            Some(offline) => format!("{region}, Offline {offline}"),
        }
    });
    let count = |n: i128| u64::try_from(n).unwrap_or(0);
    let spreads = [
        ("TTFT", "ms", &summary.ttft, 1e6),
        ("TPOT", "ms", &summary.tpot, 1e6),
        ("latency", "ms", &summary.latency, 1e6),
        ("output", "tokens", &summary.output, 1.0),
    ];
    let names = ["ttft", "tpot", "latency", "output_sequence_lengths"];
    let spreads = spreads.into_iter().zip(names);
    Some(CurvePoint {
        name: dir.file_name()?.to_string_lossy().into_owned(),
        concurrency,
        region: region.unwrap_or_default(),
        requests: count(summary.completed),
        failed: count(summary.failed),
        duration_s: summary.seconds(),
        system_tps: summary.system_tps().ok().filter(|tps| *tps > 0.0),
        tps_per_user: summary
            .tpot_p90_ms()
            .filter(|ms| *ms > 0.0)
            .map(|ms| 1000.0 / ms),
        power_kw: power(dir, declared.as_ref()),
        steady,
        spreads: spreads
            .map(|((name, unit, statistics, scale), key)| Spread {
                name: name.into(),
                unit: unit.into(),
                percentiles: scaled(statistics, scale),
                histogram: histogram(&value, key, scale),
            })
            .collect(),
    })
}

fn scaled(statistics: &Statistics, scale: f64) -> Vec<(f64, f64)> {
    let mut all: Vec<(f64, f64)> = statistics
        .percentiles()
        .map(|(p, value)| (p, value / scale))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

fn histogram(summary: &Value, name: &str, scale: f64) -> Vec<(f64, f64, u64)> {
    const MOST_BUCKETS: usize = 100;
    let found = || {
        let block = summary.map()?.get(name)?.map()?.get("histogram")?.map()?;
        Some((block.get("buckets")?.list()?, block.get("counts")?.list()?))
    };
    let (buckets, counts) = found().unwrap_or_default();
    let pairs = buckets.iter().zip(counts).take(MOST_BUCKETS);
    let read = pairs.filter_map(|(bucket, count)| {
        let ends = bucket.list()?;
        let end = |at: usize| {
            ends.get(at)
                .and_then(Value::plain_number)
                .filter(|x| x.is_finite())
        };
        Some((
            end(0)? / scale,
            end(1)? / scale,
            u64::try_from(count.plain_int()?).ok()?,
        ))
    });
    read.collect()
}

/// Of the whole system; a point on some of its nodes has its own figure, which is the check's to compute.
fn power(dir: &Path, declared: Option<&Point>) -> Option<f64> {
    if declared?.nodes_used.is_some() {
        return None;
    }
    let system = dir.parent()?.parent()?;
    let power = json(&system.join("system_power.json"))?;
    let description = json(&dir.join("system_desc.json")).unwrap_or(Value::None);
    provisioned_kw(&power, &description).ok()
}
