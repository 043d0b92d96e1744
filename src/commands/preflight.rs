//! `ossmark preflight`: everything that can be known before hours of GPU time. Checks, each with what was found and how to mend
//! it, and of every run what it will be. Starts no engine, writes nothing but its `--json`.

mod files;
mod memory;
mod runs;
mod servers;
mod subject;

use std::path::Path;

use anyhow::{Context, Result};
use ossmark_record::Record;
use ossmark_report::number::count;
use ossmark_telemetry::gpu_states;
use serde::Serialize;

use crate::children;
use crate::cli::PreflightArgs;
use crate::doctor::probes::{Host, Needs, Probe, gpus};
use crate::exit::Outcome;
use crate::generator::engine_plan::EnginePlan;
use crate::output;
use crate::run::serving::{Calibration, Serving};
use crate::terminal::{say, status::clock};
use memory::KvMemory;
use runs::{RunForecast, Samples, foresee};
use subject::{Kind, Subject, scenarios};

/// The JSON.
#[derive(Debug, Default, Serialize)]
struct Told {
    checks: Vec<Probe>,
    runs: Vec<RunForecast>,
}

/// Checks of the machine: what they find makes a run slower, not invalid.
const OF_THE_MACHINE: &str = "the machine";

pub(crate) fn preflight(args: &PreflightArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let kinds = Kind::asked(args);
    let first = kinds.first().copied().unwrap_or(Kind::Performance);
    let folder = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut told = Told::default();
    let mut needs = Needs::default();
    let mut has_gpus = false;
    let mut bytes = 0;
    for scenario in scenarios(args, first)? {
        let Some(subject) = Subject::new(args, scenario, &kinds, &mut told.checks)? else {
            continue;
        };
        told.checks.push(files::dataset(&subject));
        told.checks.extend(files::checkpoint(&subject.plan.engine)?);
        told.checks.extend(servers::servers(&subject.plan));
        let of_plan = servers::needs(&subject.plan);
        needs.descriptors = needs.descriptors.max(of_plan.descriptors);
        needs.connections = needs.connections.max(of_plan.connections);
        has_gpus |= subject.plan.engine.name() == "cuda";
        let serving = serving(args, &subject)?;
        for kind in subject.kinds.iter().copied() {
            bytes += look(&subject, kind, folder.path(), serving.as_ref(), &mut told)?;
        }
    }
    told.checks.push(files::output(&args.output, bytes));
    let runs_are_good = told.checks.iter().all(|check| check.ok);
    // Checks of the same files are the same.
    let mut seen: Vec<Probe> = Vec::new();
    told.checks.retain(|check| {
        let is_new = !seen.contains(check);
        seen.push(check.clone());
        is_new
    });
    let mut machine = Host::here().probes(&needs);
    if has_gpus {
        match gpu_states(None) {
            Ok(states) => machine.extend(gpus(&states)),
            Err(what) => machine.push(Probe::new("GPUs", Err(what), "see nvidia-smi")),
        }
    }
    let machine_serves = machine
        .iter()
        .all(|check| check.ok || !["open files", "ports"].contains(&check.name));
    tell(&told, &machine);
    told.checks.extend(machine);
    if let Some(file) = &mut json_file {
        file.write_json(&told)?;
    }
    Ok(match runs_are_good && machine_serves {
        true => Outcome::Good,
        false => Outcome::NotGood,
    })
}

/// How long answers take, where that is known.
fn serving(args: &PreflightArgs, subject: &Subject) -> Result<Option<Serving>> {
    let plan = &subject.plan;
    if let Some(dir) = &args.from {
        let record = Record::open(dir).with_context(|| format!("--from {}", dir.display()))?;
        let engines = record.rows.iter().map(|row| u32::from(row.engine) + 1);
        let engines = engines.max().unwrap_or(1);
        let limits = match &plan.engine {
            EnginePlan::Model { devices, .. } => Some(devices[0].limits()),
            EnginePlan::Http { .. } | EnginePlan::Echo(_) => None,
        };
        let calibration = Calibration::of_rows(&record.rows, None, limits, engines);
        let calibration = calibration.with_context(|| {
            format!(
                "--from {}: its {} samples have no times from which those of steps follow, expected a Server run with answers of \
                 two tokens or more",
                dir.display(),
                record.rows.len()
            )
        })?;
        return Ok(Some(Serving::Steps(calibration)));
    }
    Ok(match &plan.engine {
        EnginePlan::Echo(script) => Some(Serving::of_script(script, plan.template.max_new_tokens)),
        EnginePlan::Model { .. } | EnginePlan::Http { .. } => None,
    })
}

/// One run: its rules, what it will be, whether it can pass. Returns the bytes that it will write.
fn look(
    subject: &Subject,
    kind: Kind,
    folder: &Path,
    serving: Option<&Serving>,
    told: &mut Told,
) -> Result<u64> {
    let run = format!("{} {}", subject.scenario.name(), kind.name());
    let settings = match subject.settings(kind, folder) {
        Ok(settings) => settings,
        Err(error) if error.is::<loadgen::Error>() => {
            let mend = "see what LoadGen says of it";
            let result = Err(format!("{run}: {error:#}"));
            told.checks.push(Probe::new("settings", result, mend));
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    let rules = match settings.deviations.is_empty() {
        true => vec![Ok(format!("{run}: as the round asks"))],
        false => settings
            .deviations
            .iter()
            .map(|deviation| Err(format!("{run}: {deviation}")))
            .collect(),
    };
    let mend =
        "change what it names, or know that the run will be labelled as one with test settings";
    let rules = rules
        .into_iter()
        .map(|rule| Probe::new("rules", rule, mend));
    told.checks.extend(rules);
    let samples = Samples {
        rows: settings.rows,
        prompts: &subject.plan.prompt_tokens,
        max_new_tokens: settings.max_new_tokens,
    };
    let names = (subject.scenario.name(), kind.name());
    let mut forecast = match foresee(names, &settings.audited, &samples, serving) {
        Ok(forecast) => forecast,
        Err(error) => {
            let mend = "leave the setting out: no run that is submitted has it";
            let result = Err(format!("{run}: {error:#}"));
            told.checks.push(Probe::new("can pass", result, mend));
            return Ok(0);
        }
    };
    let can_pass = match forecast.can_pass {
        None => Ok(format!("{run}: not known")),
        Some(true) => Ok(format!("{run}: {}", forecast.margin)),
        Some(false) => Err(format!("{run}: {}", forecast.margin)),
    };
    let mend = match settings.audited.scenario == loadgen::Scenario::Offline {
        true => "raise target_qps in user.conf: LoadGen then issues more samples",
        false => "lower target_qps in user.conf (`ossmark peak` finds the highest that passes)",
    };
    told.checks.push(Probe::new("can pass", can_pass, mend));
    if let Some(kv) = KvMemory::of(&subject.plan, settings.max_new_tokens)? {
        forecast.kv_bytes = Some(kv.most_bytes());
        told.checks.push(kv.probe(&run));
    }
    told.checks
        .extend(servers::streams(&subject.plan, &run, &forecast));
    let bytes = forecast.disk_bytes;
    told.runs.push(forecast);
    Ok(bytes)
}

fn tell(told: &Told, machine: &[Probe]) {
    for check in &told.checks {
        line(check);
    }
    say!("{OF_THE_MACHINE}:");
    machine.iter().for_each(line);
    say!(
        "{:<23} {:>8} {:>18} {:>9} {:>8} {:>9}",
        "run",
        "samples",
        "duration",
        "disk, MiB",
        "KV, MiB",
        "can pass"
    );
    for run in &told.runs {
        let duration = match run.duration_s {
            None => "not known".to_owned(),
            Some([from, to]) if clock(from) == clock(to) => clock(from),
            Some([from, to]) => format!("{} to {}", clock(from), clock(to)),
        };
        let can_pass = match (run.can_pass, run.probability) {
            (None, _) => "not known".to_owned(),
            (Some(can), Some(p)) if p > 0.0 && p < 1.0 => {
                format!("{}, {:.0}%", if can { "yes" } else { "no" }, 100.0 * p)
            }
            (Some(true), _) => "yes".to_owned(),
            (Some(false), _) => "no".to_owned(),
        };
        say!(
            "{:<23} {:>8} {duration:>18} {:>9} {:>8} {can_pass:>9}",
            format!("{} {}", run.scenario, run.mode),
            count(run.samples),
            count(run.disk_bytes >> 20),
            run.kv_bytes
                .map_or_else(|| "-".to_owned(), |bytes| count(bytes >> 20))
        );
    }
}

fn line(check: &Probe) {
    let mark = if check.ok { "ok     " } else { "NOT OK " };
    say!("{mark} {:<16} {}", check.name, check.found);
    if let Some(mend) = &check.mend {
        say!("{:24} {mend}", "");
    }
}
