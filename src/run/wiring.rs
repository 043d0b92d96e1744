//! Puts a run together: the output claimed, the engine started, the responder and the watchers on their threads. Nothing
//! of LoadGen runs yet.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossbeam_channel::{Sender, unbounded};
use loadgen::{InMemory, Settings};
use ossmark_logs::Drafting;
use ossmark_record::Limits;
use ossmark_rules::{Mode, Scenario};
use ossmark_telemetry::Telemetry;

use super::early_end::{expected_samples, leave_early};
use super::faults::Faults;
use super::finish::{Finish, reserve};
use super::hopeless::Hopeless;
use super::metrics::{Latencies, Progress};
use super::plan::RunPlan;
use super::plan_json::{Description, run_plan_json};
use super::progress::{self, Display};
use super::responder::{Message, Setup, respond};
use super::start::start_generator;
use super::sut::Sut;
use super::{before, disk, recording, signals, trace};
use crate::output;

/// A run that LoadGen can be called for.
pub(super) struct WiredRun {
    pub(super) loadgen: Settings,
    pub(super) sut: Sut,
    pub(super) library: InMemory,
    /// Into the responder.
    pub(super) messages: Sender<Message>,
    pub(super) responder: JoinHandle<Latencies>,
    pub(super) display: JoinHandle<()>,
    pub(super) finish: Arc<Finish>,
}

/// What the verdict's print says of the kernels.
fn left_out(description: &Description) -> Vec<String> {
    let kernels = description.kernels.iter();
    let left_out = kernels.flat_map(|kernels| &kernels.left_out);
    left_out.map(ToString::to_string).collect()
}

/// Starts everything that the plan needs beside LoadGen.
pub(super) fn wire(mut plan: RunPlan) -> Result<WiredRun> {
    let claimed = output::claim_directory(&plan.output, plan.force)?;
    // One inside the directory is claimed once that is the new one.
    let is_inside = |file: &&PathBuf| file.starts_with(&plan.output);
    let [mut json_file, mut trace_file] = [None, None];
    let files = [(&plan.json, &mut json_file), (&plan.trace, &mut trace_file)];
    let (inside, outside): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter_map(|(file, claimed)| Some((file.as_ref()?, claimed)))
        .partition(|(file, _)| is_inside(file));
    for (file, claimed) in outside {
        *claimed = Some(output::claim_file(file, plan.force)?);
    }
    let (messages, inbox) = unbounded();
    let (generator, description) = start_generator(&plan, &messages)?;
    if let Some(remote) = &description.remote {
        before::refuse(plan.require_official, &plan.round, &remote.differences)?;
    }
    let (directory, output) = claimed.make_room()?;
    for (file, claimed) in inside {
        *claimed = Some(output::claim_file(file, plan.force)?);
    }
    plan.loadgen.log.outdir.clone_from(&output);
    output::write_json(
        &output.join("run_plan.json"),
        &run_plan_json(&plan, &description)?,
    )?;
    reserve(&output)?;

    let faults = Arc::new(Faults::default());
    let progress = Arc::new(Progress::default());
    let failed = Arc::new(AtomicBool::new(false));
    let display = Display {
        label: match plan.mode {
            Mode::Performance => plan.scenario.name().to_owned(),
            mode => format!("{} {}", plan.scenario.name(), mode.name()),
        },
        expected: expected_samples(&plan),
        limits_ns: plan.limits_ns(),
    };
    let drafting = plan.engine.speculation().zip(plan.head.as_ref());
    let drafting = drafting.map(|(s, head)| Drafting::new(&head.tensors_sha256, s.steps));
    let sut = Sut {
        name: format!(
            "ossmark {} ({}{}{})",
            env!("CARGO_PKG_VERSION"),
            description.engine,
            if plan.engine.is_synthetic() {
                ", SYNTHETIC weights"
            } else {
                ""
            },
            drafting.map_or(String::new(), |d| format!(", {d}")),
        ),
        prompts: Arc::clone(&plan.prompts),
        template: plan.template,
        generator: Arc::clone(&generator),
        responder: messages.clone(),
        failed: Arc::clone(&failed),
        next: AtomicU64::new(0),
    };
    // All prompts are in memory from the start.
    let library = InMemory::new(description.data.clone(), plan.prompts.len());
    let loadgen = plan.loadgen.clone();
    let watchdog = plan.watchdog;
    let streaming = plan.scenario != Scenario::Offline;
    let power = Telemetry::start(&plan.power)?;
    let (recording, record) = plan
        .record
        .then(|| {
            let tokens = Arc::clone(&plan.prompt_tokens);
            recording::begin(
                &output,
                limits(&plan),
                tokens,
                &progress,
                &generator,
                Some(power.watch()),
            )
        })
        .unzip();
    let hopeless = hopeless(&plan);
    let (trace, trace_writer) = trace_file
        .map(trace::begin)
        .transpose()
        .context("cannot start the trace's thread")?
        .unzip();
    let finish = Arc::new(Finish {
        plan,
        faults: Arc::clone(&faults),
        progress: Arc::clone(&progress),
        output,
        _directory: directory,
        json_file: Mutex::new(json_file),
        record: Mutex::new(record),
        trace: Mutex::new(trace_writer),
        power: Mutex::new(Some(power)),
        generator: Arc::clone(&generator),
        left_out: left_out(&description),
        started: Instant::now(),
    });

    let setup = Setup {
        faults: Arc::clone(&faults),
        progress: Arc::clone(&progress),
        watchdog,
        streaming,
        record: recording,
        trace,
        hopeless,
        on_failed: Box::new({
            let finish = Arc::clone(&finish);
            move || {
                failed.store(true, Relaxed);
                leave_early(&finish);
            }
        }),
    };
    let responder = std::thread::Builder::new()
        .name("responder".into())
        .spawn(move || respond(&inbox, setup))
        .context("cannot start the responder thread")?;
    signals::listen(messages.clone())?;
    disk::watch(&finish.output, Arc::clone(&progress), messages.clone())?;
    let display = progress::show(display, Arc::clone(&progress))
        .context("cannot start the progress thread")?;
    Ok(WiredRun {
        loadgen,
        sut,
        library,
        messages,
        responder,
        display,
        finish,
    })
}

/// LoadGen's limits: Offline has none, and 0 is none.
fn limits(plan: &RunPlan) -> Limits {
    let limit = |ns: u64| {
        let ns = i64::try_from(ns).ok().filter(|ns| *ns > 0);
        ns.filter(|_| plan.scenario != Scenario::Offline)
    };
    Limits {
        ttft_ns: limit(plan.requested.server_ttft_latency),
        tpot_ns: limit(plan.requested.server_tpot_latency),
    }
}

/// What ends a run that cannot become VALID any more, where that was asked for. Offline has no limits.
fn hopeless(plan: &RunPlan) -> Option<Hopeless> {
    let is_performance = plan.mode == Mode::Performance && plan.scenario != Scenario::Offline;
    let asked = plan.stop_hopeless && is_performance;
    let settings = plan.loadgen.audited().ok().filter(|_| asked)?;
    let rows = plan.prompts.len() as u64;
    let limits = [settings.server_ttft_latency, settings.server_tpot_latency];
    settings.use_token_latencies.then(|| {
        Hopeless::new(
            limits.map(Duration::from_nanos),
            settings.scheduled_samples(rows, rows),
            settings.server_target_latency_percentile,
        )
    })
}
