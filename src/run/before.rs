//! What is said of a run before anything of it is started: what it will be, how it will deviate from its round, what its
//! settings lack. Hours later would be too late for any of it.

use anyhow::{Result, bail};
use ossmark_report::number::count;
use ossmark_rules::{Mode, Scenario};

use super::early_end::expected_samples;
use super::facts::run_facts;
use super::foreseen::entries;
use super::plan::RunPlan;
use super::rules;
use super::user_conf;
use crate::terminal::{note, progress, text::counted};

/// Deviations that the first line names; `--dry-run` tells all.
const NAMED: usize = 3;

/// How the run will deviate from what its round asks for, in the words of its verdict. What servers are is known only once
/// they have been asked.
///
/// # Errors
///
/// LoadGen refuses the settings.
pub(super) fn deviations(plan: &RunPlan) -> Result<Vec<String>> {
    let rows = plan.prompts.len() as u64;
    let settings = entries(&plan.requested, &plan.loadgen.audited()?, rows);
    let mut found = rules::deviations(&run_facts(plan, settings));
    found.extend(plan.fault_injection.map(|drill| drill.deviation()));
    Ok(found)
}

/// Says what the run will be; refuses one that may not deviate and does.
///
/// # Errors
///
/// That, and settings that LoadGen refuses.
pub(super) fn tell(plan: &RunPlan) -> Result<()> {
    let deviations = deviations(plan)?;
    progress!("{}", line(plan, &deviations));
    let lacking = [no_load(plan)?, too_few_rows(plan)?];
    for warning in plan.warnings.iter().chain(lacking.iter().flatten()) {
        note!("ossmark: warning: {warning}");
    }
    refuse(plan.require_official, &plan.round, &deviations)
}

/// With --require-official: refuses a run that deviates.
///
/// # Errors
///
/// All deviations.
pub(super) fn refuse(require_official: bool, round: &str, deviations: &[String]) -> Result<()> {
    if require_official && !deviations.is_empty() {
        bail!(
            "--require-official: found {} from round {}, expected none:\n{}\nfix what they name, or leave --require-official out \
             for a run with test settings",
            counted(deviations.len() as u64, "deviation"),
            round,
            deviations.join("\n")
        );
    }
    Ok(())
}

/// What the run will be, in one line.
fn line(plan: &RunPlan, deviations: &[String]) -> String {
    let qps = plan.requested.target_qps();
    let mut line = format!(
        "{} {}, round {}",
        plan.scenario.name(),
        plan.mode.name(),
        plan.round
    );
    let (unit, units) = match plan.scenario {
        Scenario::Offline => ("sample", "samples"),
        Scenario::Server | Scenario::Interactive => ("query", "queries"),
    };
    line += &format!(", {qps} {}/s", if qps == 1.0 { unit } else { units });
    match expected_samples(plan) {
        Some(samples) => {
            let about = about(samples as f64 / qps.max(f64::MIN_POSITIVE));
            line += &format!(", {} {units}, about {about}", count(samples));
        }
        None => line += ", as long as LoadGen searches",
    }
    line + ". " + &settings(deviations)
}

/// What kind of run its settings make it.
fn settings(deviations: &[String]) -> String {
    if deviations.is_empty() {
        return "Official settings.".into();
    }
    let names: Vec<&str> = deviations.iter().map(|text| brief(text)).collect();
    let (named, more) = names.split_at(names.len().min(NAMED));
    let more = match more.len() {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    format!(
        "TEST run, {}: {}{more}",
        counted(deviations.len() as u64, "deviation"),
        named.join(", ")
    )
}

/// What deviates, without how.
fn brief(deviation: &str) -> &str {
    let end = match deviation.find(" is ") {
        Some(end) if deviation.contains(" asks for ") => Some(end),
        _ => deviation.find(['(', ':', ';', ',']),
    };
    let brief = deviation[..end.unwrap_or(deviation.len())].trim_end();
    brief.strip_prefix("the number of ").unwrap_or(brief)
}

/// A time, as exactly as it is known.
fn about(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// LoadGen's default load is none that anybody wants, and a file for another scenario sets none without a word.
fn no_load(plan: &RunPlan) -> Result<Option<String>> {
    let (loadgen, scenario) = (&plan.loadgen, plan.loadgen.scenario.as_str());
    let model = loadgen.model.as_str();
    let is_overridden = loadgen.overrides.server_target_qps.is_some()
        || loadgen.overrides.offline_expected_qps.is_some();
    let mut is_set = is_overridden;
    for file in [&loadgen.user_conf, &loadgen.audit_config]
        .into_iter()
        .flatten()
    {
        let text = ossmark_files::read(file)?;
        is_set |= user_conf::sets(&text, (model, scenario), "target_qps");
    }
    if is_set || plan.mode == Mode::FindPeak {
        return Ok(None);
    }
    let found = match &loadgen.user_conf {
        Some(file) => format!(
            "{} sets no target_qps for {}",
            ossmark_files::Escaped::path(file),
            plan.scenario.name()
        ),
        None => "found neither --user-conf nor --target-qps".into(),
    };
    Ok(Some(format!(
        "{found}: LoadGen takes {}; write {model}.{scenario}.target_qps = X into user.conf, or give --target-qps X",
        plan.requested.target_qps()
    )))
}

/// An accuracy log holds each sample that LoadGen asks for once: with fewer rows the run is invalid, whatever the answers.
fn too_few_rows(plan: &RunPlan) -> Result<Option<String>> {
    let rows = plan.prompts.len() as u64;
    let asked = plan.loadgen.audited()?.accuracy_sample_count_override;
    let is_short = plan.mode == Mode::Accuracy && rows < asked;
    let model = plan.loadgen.model.as_str();
    Ok(is_short.then(|| {
        format!(
            "the data set has {rows} rows and LoadGen asks for {asked} samples, so that the run will be invalid; give the whole \
             data set, or for a test run write {model}.*.accuracy_sample_count_override = {rows} into user.conf"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_deviate_is_refused_with_all_that_does() {
        let deviations = ["a is 1".to_owned(), "b is 2".to_owned()];
        assert!(refuse(false, "v6.1", &deviations).is_ok());
        assert!(refuse(true, "v6.1", &[]).is_ok());
        let error = refuse(true, "v6.1", &deviations).unwrap_err().to_string();
        for part in ["2 deviations", "v6.1", "a is 1", "b is 2"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_deviation_is_named_by_what_deviates() {
        for (deviation, name) in [
            (
                "min_duration_ms is 1000, round v6.1 asks for at least 600000 (checker)",
                "min_duration_ms",
            ),
            (
                "the number of rows of the data set is 512, round v6.1 asks for 6396 (mlperf.conf 35)",
                "rows of the data set",
            ),
            (
                "answers are scripted (--engine echo): no model was run",
                "answers are scripted",
            ),
            ("prompts are made up, not given", "prompts are made up"),
            (
                "mode is find-peak; only performance and accuracy runs are submitted",
                "mode is find-peak",
            ),
        ] {
            assert_eq!(brief(deviation), name);
        }
        let four = ["a, 1", "b", "c", "d"].map(String::from);
        assert_eq!(
            settings(&four),
            "TEST run, 4 deviations: a, b, c, and 1 more"
        );
        assert_eq!(settings(&four[..1]), "TEST run, 1 deviation: a");
        assert_eq!(settings(&[]), "Official settings.");
    }

    #[test]
    fn a_time_is_as_exact_as_it_is_known() {
        for (seconds, text) in [(43.2, "43 s"), (1024.0, "17 min"), (6396.0, "1.8 h")] {
            assert_eq!(about(seconds), text);
        }
    }
}
