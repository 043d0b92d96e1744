//! How many points there are, and the Offline point. Facts: §2.

use super::loaded::{Curve, Loaded};
use crate::finding::Findings;
use crate::rules::rules;

/// Points that are declared as the Offline result.
pub(super) fn declared(curve: &Curve) -> Vec<&Loaded> {
    let is_offline = |p: &&Loaded| p.point.is_dedicated() || p.point.is_elected();
    curve.points.iter().filter(is_offline).collect()
}

pub(super) fn check(curve: &Curve, findings: &mut Findings) {
    count(curve, findings);
    present(curve, findings);
    ordering(curve, findings);
}

fn count(curve: &Curve, findings: &mut Findings) {
    let points = &rules().points;
    let has_dedicated = curve.points.iter().any(|p| p.point.is_dedicated());
    let least = if has_dedicated && !curve.is_agentic() {
        points.least_with_dedicated_offline.value
    } else {
        points.least.value
    };
    let found = curve.folders;
    if found < least {
        findings.error(
            "point-count",
            &curve.dir,
            format!("found {found} points, expected at least {least}"),
        );
    } else {
        findings.pass("point-count", &curve.dir, format!("{found} points"));
    }
    if found > points.most.value {
        findings.error(
            "point-cap",
            &curve.dir,
            format!(
                "found {found} points, expected at most {}",
                points.most.value
            ),
        );
    }
}

fn present(curve: &Curve, findings: &mut Findings) {
    const RULE: &str = "offline-point-present";
    let dir = curve.dir.as_path();
    let declared = declared(curve);
    match declared[..] {
        [] if curve.is_agentic() => findings.pass(RULE, dir, "none, as with agentic benchmarks"),
        _ if curve.is_agentic() => findings.error(
            RULE,
            dir,
            "found an Offline point of an agentic benchmark, expected none",
        ),
        [] => findings.error(
            RULE,
            dir,
            "found no Offline point, expected one: dedicated, or the point at C_max elected",
        ),
        [one] => match curve.c_max {
            Some(c_max) if one.point.is_elected() && one.point.concurrency != c_max => {
                findings.error(
                    RULE,
                    dir,
                    format!(
                        "found the point at {} elected, expected the one at C_max, {c_max}",
                        one.point.concurrency
                    ),
                );
            }
            _ => findings.pass(RULE, dir, format!("the point at {}", one.point.concurrency)),
        },
        _ => findings.error(
            RULE,
            dir,
            format!("found {} Offline points, expected one", declared.len()),
        ),
    }
}

/// A dedicated run is not worse than the point at C_max.
fn ordering(curve: &Curve, findings: &mut Findings) {
    const RULE: &str = "offline-ordering";
    let dir = curve.dir.as_path();
    let Some(offline) = curve.points.iter().find(|p| p.point.is_dedicated()) else {
        return;
    };
    if curve.points.iter().all(|p| p.summary.is_none()) {
        return;
    }
    let Some(c_max) = curve.c_max else { return };
    let concurrency = offline.point.concurrency;
    if concurrency < c_max {
        findings.warning(RULE, dir, format!("found concurrency {concurrency} of the dedicated run, expected at least C_max, {c_max}"));
    }
    // Of points with the same concurrency the last counts.
    let tps = |at: i128| {
        let all = curve
            .points
            .iter()
            .rev()
            .filter(|p| p.point.concurrency == at);
        all.filter_map(|p| p.summary.as_ref())
            .next()?
            .system_tps()
            .ok()
    };
    let Some((found, highest)) = tps(concurrency).zip(tps(c_max)) else {
        return;
    };
    let least = rules().points.offline_share.value * highest;
    if found < least {
        findings.warning(
            RULE,
            dir,
            format!("found {found} tokens/s of the dedicated run, expected at least {least}"),
        );
    } else {
        findings.pass(
            RULE,
            dir,
            format!("{found} tokens/s, of {least} that are asked for"),
        );
    }
}
