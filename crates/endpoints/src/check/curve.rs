//! One curve: a system and a model. Files of all points first, because C_min and the regions follow from all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::loaded::{Curve, Loaded, Unparsed};
use super::points;
use super::power::Computation;
use super::system::SYSTEM_DESC;
use super::tree::{Tree, concurrency_of};
use super::{accuracy, coverage, disclosure, drafters, extra, offline, seeds};
use crate::finding::Findings;
use crate::model::point::Point;
use crate::model::system::{self, ULTRA_LOW};
use crate::regions::Regions;
use crate::value::Value;

pub(super) fn check(
    root: &Path,
    dir: &Path,
    power: Option<&Computation>,
    division: Option<&str>,
    tree: &Tree,
    findings: &mut Findings,
) {
    let folders = tree.points(dir, findings);
    if folders.is_empty() {
        findings.error(
            "point-dirs",
            dir,
            "found no directory of a point, expected r1, r32, ...: r and the concurrency",
        );
        return;
    }
    findings.pass("point-dirs", dir, format!("found {} points", folders.len()));
    let mut curve = Curve {
        dir: dir.to_owned(),
        model: dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        folders: folders.len(),
        points: Vec::new(),
        unparsed: Vec::new(),
        c_max: None,
        regions: None,
        accuracy: Vec::new(),
        accuracy_dir: None,
    };
    load(&mut curve, &folders, tree, findings);
    let described = descriptions(&mut curve, &folders, tree, findings);
    disclosure::model_names(&curve, findings);
    if let Ok(c_min) = c_min_override(dir, &folders, tree, findings) {
        curve.regions = regions(&curve, c_min, described.as_deref(), findings);
    }
    points::check(&mut curve, power, tree, findings);
    disclosure::shared_paths(root, &curve, findings);
    seeds::check(&curve, findings);
    drafters::check(&curve, findings);
    accuracy::load(&mut curve, tree, findings);
    coverage::check(&curve, findings);
    offline::check(&curve, findings);
    disclosure::consistency(&curve, findings);
    accuracy::check(&curve, findings);
    extra::check(&curve, division, findings);
}

fn load(curve: &mut Curve, folders: &[PathBuf], tree: &Tree, findings: &mut Findings) {
    for dir in folders {
        points::config(dir, tree, findings);
        let yaml = dir.join("point.yaml");
        if !yaml.exists() {
            findings.error(
                "measurement-points-present",
                &yaml,
                "found no point.yaml, expected the point's disclosure",
            );
            let concurrency = concurrency_of(dir);
            curve.unparsed.push(Unparsed {
                dir: dir.clone(),
                yaml,
                concurrency,
            });
            continue;
        }
        match point(&yaml, tree, findings) {
            Ok(point) => {
                disclosure::point(&point, &yaml, findings);
                if concurrency_of(dir) != Some(point.concurrency) {
                    findings.warning(
                        "point-dirname-concurrency",
                        &yaml,
                        format!(
                            "found concurrency {} in this folder, expected what its name says",
                            point.concurrency
                        ),
                    );
                }
                curve.points.push(Loaded {
                    dir: dir.clone(),
                    yaml,
                    point,
                    summary: None,
                });
            }
            Err(concurrency) => {
                let concurrency = concurrency.or_else(|| concurrency_of(dir));
                curve.unparsed.push(Unparsed {
                    dir: dir.clone(),
                    yaml,
                    concurrency,
                });
            }
        }
    }
    if curve.points.is_empty() {
        findings.error(
            "measurement-points-present",
            &curve.dir,
            "found no point with a valid point.yaml, expected at least one",
        );
    }
}

/// The concurrency where the rest is not valid: a positive integer and nothing that is only like one.
fn point(yaml: &Path, tree: &Tree, findings: &mut Findings) -> Result<Point, Option<i128>> {
    let content = tree.yaml(yaml, findings);
    let value = Tree::judged("point-config-valid", yaml, content, findings).ok_or(None)?;
    let Value::Map(map) = &value else {
        findings.error(
            "point-config-valid",
            yaml,
            format!("found {}, expected a mapping", value.shown()),
        );
        return Err(None);
    };
    Point::read(&value).map_err(|problems| {
        findings.problems("point-config-valid", yaml, problems);
        map.get("concurrency")
            .and_then(Value::plain_int)
            .filter(|n| *n > 0)
    })
}

/// The path of the first description that is a JSON object; its C_max goes into the curve.
fn descriptions(
    curve: &mut Curve,
    folders: &[PathBuf],
    tree: &Tree,
    findings: &mut Findings,
) -> Option<PathBuf> {
    let mut first: Option<(PathBuf, Value)> = None;
    let (mut count, mut differs) = (0, false);
    for dir in folders {
        let file = dir.join(SYSTEM_DESC);
        if !file.exists() {
            findings.error(
                "system-description-present",
                &file,
                "found no system_desc.json, expected one at each point",
            );
            continue;
        }
        let Some(value) = tree.raw(&file, findings) else {
            findings.error(
                "system-description-valid",
                &file,
                "found no JSON object, expected one",
            );
            continue;
        };
        count += 1;
        match &first {
            None => first = Some((file, value)),
            Some(_) if differs => {}
            Some((reference, known)) => {
                let names = differing(known, &value);
                if !names.is_empty() {
                    differs = true;
                    let reference = reference
                        .parent()
                        .and_then(Path::file_name)
                        .unwrap_or_default();
                    findings.error(
                        "system-description-consistency",
                        &file,
                        format!(
                            "found {} to differ from the description in {}, expected one system",
                            names.join(", "),
                            reference.to_string_lossy()
                        ),
                    );
                }
            }
        }
    }
    let Some((file, value)) = first else {
        findings.error(
            "system-description-present",
            &curve.dir,
            "found no readable system_desc.json, expected one at each point",
        );
        return None;
    };
    if !differs {
        findings.pass(
            "system-description-consistency",
            &curve.dir,
            format!("{count} points agree"),
        );
    }
    match system::read(&value) {
        Ok(c_max) => {
            curve.c_max = Some(c_max);
            findings.pass("system-description-valid", &file, "valid");
        }
        Err(problems) => {
            findings.problems("system-description-valid", &file, problems);
            let raw = value
                .map()
                .and_then(|map| map.get("max_supported_concurrency"));
            curve.c_max = raw.and_then(Value::plain_int).filter(|n| *n > 0);
        }
    }
    Some(file)
}

/// Fields by which two descriptions are not of one system.
fn differing(a: &Value, b: &Value) -> Vec<String> {
    const OF_A_POINT: [&str; 9] = [
        "tps_utilization",
        "tensor_parallel",
        "pipeline_parallel",
        "expert_parallel",
        "data_parallel",
        "disaggregated",
        "batch",
        "config_summary",
        "config_summary_notes",
    ];
    let (Some(a), Some(b)) = (a.map(), b.map()) else {
        return Vec::new();
    };
    let names: BTreeSet<&str> = a.named().chain(b.named()).map(|(name, _)| name).collect();
    let differs = |name: &&str| match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => !a.is_same(b),
        _ => true,
    };
    let names = names.into_iter().filter(|name| !OF_A_POINT.contains(name));
    names.filter(differs).map(str::to_owned).collect()
}

/// Declared by all points alike or by none.
fn c_min_override(
    dir: &Path,
    folders: &[PathBuf],
    tree: &Tree,
    findings: &mut Findings,
) -> Result<Option<i128>, ()> {
    const NAME: &str = "c_min_override";
    let declared: Vec<(PathBuf, Option<Value>)> = folders
        .iter()
        .map(|dir| {
            let file = dir.join(SYSTEM_DESC);
            let value = tree.raw(&file, findings);
            (
                file,
                value.and_then(|value| value.map()?.get(NAME).cloned()),
            )
        })
        .collect();
    if declared.iter().all(|(_, value)| value.is_none()) {
        return Ok(None);
    }
    let mut values = BTreeSet::new();
    let mut is_good = true;
    for (file, value) in &declared {
        match value.as_ref().map(|value| (value, system::c_min_override(value))) {
            Some((_, Some(c_min))) => {
                values.insert(c_min);
                continue;
            }
            Some((value, None)) => findings.error("c-min-override", file, format!("found {}, expected an integer from 1 to 32", value.shown())),
            None => findings.error("c-min-override", file, "found no c_min_override, which other points declare; expected it at all points or none"),
        }
        is_good = false;
    }
    if values.len() > 1 {
        findings.error(
            "c-min-override",
            dir,
            format!("found {} values, expected one", values.len()),
        );
        is_good = false;
    }
    match values.first() {
        Some(c_min) if is_good => Ok(Some(*c_min)),
        _ => Err(()),
    }
}

fn regions(
    curve: &Curve,
    declared: Option<i128>,
    described: Option<&Path>,
    findings: &mut Findings,
) -> Option<Regions> {
    let dir = curve.dir.as_path();
    let described = described.unwrap_or(dir);
    let Some(c_max) = curve.c_max else {
        findings.warning(
            "region-basis",
            described,
            "found no max_supported_concurrency, so that there are no regions; expected an integer",
        );
        return None;
    };
    findings.pass(
        "max-concurrency-declared",
        described,
        format!("C_max {c_max}"),
    );
    let all = curve.concurrencies();
    let Some(lowest) = all.iter().min().copied() else {
        findings.error(
            "region-basis",
            dir,
            "found no readable concurrency, expected one at each point",
        );
        return None;
    };
    let c_min = match declared {
        Some(c_min) => {
            let fixed = curve
                .points
                .iter()
                .filter(|p| !p.point.is_dedicated())
                .map(|p| p.point.concurrency);
            let mut fixed = fixed.chain(curve.unparsed.iter().filter_map(|p| p.concurrency));
            if !fixed.any(|c| c == c_min) {
                findings.error(
                    "c-min-override",
                    dir,
                    format!("found no point at the declared {c_min}, expected one"),
                );
                return None;
            }
            c_min
        }
        None => lowest.min(ULTRA_LOW),
    };
    let regions = Regions::new(c_max, c_min, declared.is_some());
    let basis = format!("C_min {c_min} of {} points", all.len());
    if declared.is_none() && all.len() < curve.folders {
        findings.warning(
            "region-basis",
            dir,
            format!(
                "{basis}; found {} whose concurrency cannot be read",
                curve.folders - all.len()
            ),
        );
    } else if declared.is_none() || regions.is_ok() {
        findings.pass("region-basis", dir, basis);
    }
    match regions {
        Ok(regions) => Some(regions),
        Err(error) => {
            findings.error("region-computation", described, error.to_string());
            None
        }
    }
}
