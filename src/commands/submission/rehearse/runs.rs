//! The twelve runs of a rehearsal, all at once: performance, accuracy, TEST07 and TEST09 of each scenario.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::{Place, SCENARIOS, clock};
use crate::children;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::{message, progress};

/// A word of a command line.
type Word<'a> = &'a dyn AsRef<OsStr>;
type Words<'a> = Vec<Word<'a>>;

/// A rate that makes 6396 samples last a little more than the minimum duration: at 10.66 a second and above, LoadGen would
/// issue them twice. Offline lasts as long as the engine needs: 6396 answers of 2.66 s, so many at a time.
struct Load {
    min_duration: &'static str,
    qps: &'static str,
    offline_qps: &'static str,
    offline_slots: &'static str,
}

const OFFICIAL: Load = Load {
    min_duration: "600000",
    qps: "10.6",
    offline_qps: "9.6",
    offline_slots: "26",
};
/// A busy machine has to answer in time as well: half a minute each, twelve at once.
const SHORT: Load = Load {
    min_duration: "5000",
    qps: "200",
    offline_qps: "200",
    offline_slots: "650",
};

fn user_conf(scenario: &str, load: &Load) -> String {
    let conf = match scenario {
        "offline" => include_str!("../../../../mlperf_conf/offline.user.conf"),
        "server" => include_str!("../../../../mlperf_conf/server.user.conf"),
        _ => include_str!("../../../../mlperf_conf/interactive.user.conf"),
    };
    let of = |duration: &str| format!("min_duration = {duration}");
    conf.replace(&of(OFFICIAL.min_duration), &of(load.min_duration))
}

/// Makes all runs; a line for each that has ended. When one fails the others are ended.
pub(super) fn make(place: &Place, short: bool, began: Instant) -> Result<Outcome> {
    let load = if short { &SHORT } else { &OFFICIAL };
    let mut commands: Vec<(String, Command)> = Vec::new();
    for scenario in SCENARIOS {
        commands.extend(of_scenario(place, scenario, load)?);
    }
    let total = commands.len();
    let (sender, ended) = mpsc::channel();
    let mut failed: Option<(String, Option<i32>)> = None;
    std::thread::scope(|scope| -> Result<()> {
        for (name, mut command) in commands {
            let sender = sender.clone();
            scope.spawn(move || {
                let status = children::status(&mut command);
                // Nobody listens any more only when this command has failed.
                let _ = sender.send((name, status));
            });
        }
        drop(sender);
        for (n, (name, status)) in ended.iter().enumerate() {
            let status = status.with_context(|| format!("cannot start {name}"));
            let code = status
                .as_ref()
                .ok()
                .and_then(std::process::ExitStatus::code);
            if status.is_err() || code != Some(0) {
                if failed.is_none() && !children::interrupted() {
                    children::end_all();
                    failed = Some((name, code));
                }
                continue;
            }
            if failed.is_none() {
                progress!(
                    "{:>6}  {:>2} of {total}  {name}: valid",
                    clock(began),
                    n + 1
                );
            }
        }
        Ok(())
    })?;
    place.fail_if_interrupted()?;
    match failed {
        None => Ok(Outcome::Good),
        Some((name, Some(1))) => {
            message(&format!(
                "{name} is not valid, the others were ended; a machine that is busy is the usual cause. {}:\n{}",
                place.log(&name).display(),
                place.said(&name)
            ));
            Ok(Outcome::NotGood)
        }
        Some((name, _)) => bail!(
            "{name} could not be made; {}:\n{}",
            place.log(&name).display(),
            place.said(&name)
        ),
    }
}

fn of_scenario(place: &Place, scenario: &str, load: &Load) -> Result<Vec<(String, Command)>> {
    let conf = place.at(&format!("{scenario}.user.conf"));
    output::write_whole(&conf, user_conf(scenario, load).as_bytes())?;
    let data = |name: &str| place.at(&format!("data/{name}.parquet"));
    let (performance, accuracy, compliance) =
        (data("performance"), data("accuracy"), data("compliance"));
    let script = |name: &str| place.at(&format!("data/{name}_script.parquet"));
    let (performance_script, accuracy_script) = (script("performance"), script("accuracy"));
    let compliance_script = script("compliance");
    let tokenizer = place.at("data");
    let run = |mode: &str| place.at(&format!("runs/{scenario}-{mode}"));
    let (performance_run, accuracy_run) = (run("performance"), run("accuracy"));
    let audit = place.at(&format!("audit/{scenario}"));

    let mut same: Vec<&dyn AsRef<OsStr>> = vec![
        &"--scenario",
        &scenario,
        &"--engine",
        &"echo",
        &"--echo-ttft-ms",
        &"100",
        &"--echo-tpot-ms",
        &"2",
        &"--target-qps",
    ];
    match scenario {
        "offline" => same.extend::<[&dyn AsRef<OsStr>; 3]>([
            &load.offline_qps,
            &"--echo-slots",
            &load.offline_slots,
        ]),
        _ => same.push(&load.qps),
    }
    let of_performance: [&dyn AsRef<OsStr>; 6] = [
        &"--user-conf",
        &conf,
        &"--dataset",
        &performance,
        &"--echo-script",
        &performance_script,
    ];
    let of_accuracy: [&dyn AsRef<OsStr>; 6] = [
        &"--user-conf",
        &conf,
        &"--dataset",
        &accuracy,
        &"--echo-script",
        &accuracy_script,
    ];
    let of_compliance: [&dyn AsRef<OsStr>; 4] = [
        &"--dataset",
        &compliance,
        &"--echo-script",
        &compliance_script,
    ];
    let made: [(&str, Words<'_>, &[Word<'_>]); 4] = [
        (
            "performance",
            vec![
                &"run",
                &"--mode",
                &"performance",
                &"--output",
                &performance_run,
            ],
            &of_performance,
        ),
        (
            "accuracy",
            vec![&"run", &"--mode", &"accuracy", &"--output", &accuracy_run],
            &of_accuracy,
        ),
        (
            "test07",
            vec![
                &"audit",
                &"test07",
                &"--output",
                &audit,
                &"--dataset",
                &compliance,
                &"--tokenizer",
                &tokenizer,
                &"--",
            ],
            &of_compliance,
        ),
        // The ledger of attempts is one file, which both tests add a line to.
        (
            "test09",
            vec![&"audit", &"test09", &"--output", &audit, &"--"],
            &of_performance,
        ),
    ];
    made.into_iter()
        .map(|(name, mut words, data)| {
            let name = format!("{scenario}-{name}");
            words.extend(&same);
            words.extend(data);
            let command = place.command(&name, &words)?;
            Ok((name, command))
        })
        .collect()
}
