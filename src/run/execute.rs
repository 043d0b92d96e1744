//! Does what the plan says: starts the engine, the responder and the watchers, hands the main thread to LoadGen, and
//! brings everything to an end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossbeam_channel::{Sender, unbounded};
use ossmark_engine::types::Sink;
use ossmark_files::abandon_parts;
use ossmark_loadgen::Error;
use serde_json::{Value, json};

use super::finish::{Finish, reserve};
use super::plan::RunPlan;
use super::{disk, signals};
use crate::cli::{ModeArg, ScenarioArg};
use crate::exit::Outcome;
use crate::faults::{FaultKind, Faults};
use crate::generator::Generator;
use crate::generator::choice::{EnginePlan, check_prompts};
use crate::generator::device::Device;
use crate::metrics::Progress;
use crate::progress::{self, Display};
use crate::provenance;
use crate::responder::{Message, Setup, respond};
use crate::sut::{Library, Sut};
use crate::terminal::note;
use crate::{output, pairing};

/// A failed Server run is waited for when no more than this of its schedule remains.
const WORTH_WAITING: Duration = Duration::from_secs(5);
/// LoadGen's log thread writes every 10 ms.
const LOG_THREAD: Duration = Duration::from_millis(50);

/// Runs the plan to its verdict.
pub(crate) fn execute(mut plan: RunPlan) -> Result<Outcome> {
    let claimed = output::claim_directory(&plan.output, plan.force)?;
    // One inside the directory is claimed once that is the new one.
    let is_inside = |file: &&PathBuf| file.starts_with(&plan.output);
    let inside = plan.json.clone().filter(|file| is_inside(&file));
    let outside = plan.json.as_ref().filter(|file| !is_inside(file));
    let mut json_file = output::claim_optional(outside, plan.force)?;
    let (messages, inbox) = unbounded();
    let (generator, description) = start_generator(&plan, &messages)?;
    let (directory, output) = claimed.make_room()?;
    if let Some(file) = inside {
        json_file = Some(output::claim_file(&file, plan.force)?);
    }
    plan.loadgen.output_dir.clone_from(&output);
    output::write_json(
        &output.join("run_plan.json"),
        &run_plan_json(&plan, &description)?,
    )?;
    reserve(&output)?;

    let faults = Arc::new(Faults::default());
    let progress = Arc::new(Progress::default());
    let failed = Arc::new(AtomicBool::new(false));
    let display = Display {
        label: format!("{} {}", plan.scenario.name(), plan.mode.name()),
        expected: expected_samples(&plan),
        limits_ns: (
            plan.requested.ttft_latency_ns,
            plan.requested.tpot_latency_ns,
        ),
    };
    let sut = Sut {
        name: format!(
            "ossmark {} ({}{})",
            env!("CARGO_PKG_VERSION"),
            description.engine,
            if plan.engine.is_synthetic() {
                ", SYNTHETIC weights"
            } else {
                ""
            }
        ),
        prompts: Arc::clone(&plan.prompts),
        template: plan.template,
        generator: Arc::clone(&generator),
        responder: messages.clone(),
        failed: Arc::clone(&failed),
        next: AtomicU64::new(0),
    };
    let library = Library {
        name: description.data.clone(),
        total: plan.prompts.len(),
        performance: plan.prompts.len(),
    };
    let loadgen = plan.loadgen.clone();
    let watchdog = plan.watchdog;
    let streaming = plan.scenario != ScenarioArg::Offline;
    let finish = Arc::new(Finish {
        plan,
        faults: Arc::clone(&faults),
        progress: Arc::clone(&progress),
        output,
        _directory: directory,
        json_file: Mutex::new(json_file),
        generator: Arc::clone(&generator),
        started: Instant::now(),
    });

    let setup = Setup {
        faults: Arc::clone(&faults),
        progress: Arc::clone(&progress),
        watchdog,
        streaming,
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

    let test = ossmark_loadgen::run(&loadgen, &sut, &library);
    progress.done.store(true, Relaxed);
    let _ = messages.send(Message::End);
    let latencies = responder.join();
    let _ = display.join();
    generator.shutdown();
    let test = match test {
        Ok(test) => test,
        Err(error @ (Error::LoadGen(_) | Error::NoLog { .. })) => {
            // LoadGen's static destructors would abort the process: see `exit_now`.
            note!("ossmark: {error}");
            abandon_parts();
            ossmark_loadgen::exit_now(2);
        }
        Err(error) => return Err(error.into()),
    };
    record_loadgen_faults(&faults, &test.faults);
    if latencies.is_err() {
        faults.record(FaultKind::Panic, None, || {
            "the responder panicked; its message is above".into()
        });
    }
    let outcome = finish.finish(latencies.as_ref().ok(), false);
    Ok(outcome)
}

/// What the logs and the plan call the parts of a run.
struct Description {
    engine: String,
    data: String,
    /// One line about the model.
    model: Option<String>,
    /// What the generator says of the servers behind it.
    remote: Value,
}

/// Where the engine's events go; tells the responder when the engine lets go of it.
struct ToResponder(Sender<Message>);

impl Drop for ToResponder {
    fn drop(&mut self) {
        let _ = self.0.send(Message::EngineGone);
    }
}

fn start_generator(
    plan: &RunPlan,
    messages: &Sender<Message>,
) -> Result<(Arc<dyn Generator>, Description)> {
    let to = ToResponder(messages.clone());
    let sink: Sink = Box::new(move |event| to.0.send(Message::Event(event)).is_ok());
    let sink = match plan.drill {
        Some(drill) => drill.wrap_sink(sink),
        None => sink,
    };
    let data = plan
        .dataset
        .as_ref()
        .map_or("stand-in".to_owned(), |d| d.content_sha256.clone());
    let started = plan.engine.start(sink, plan.drill)?;
    if let Some(dataset) = &plan.dataset {
        check_prompts(&*started.generator, &plan.prompts, 1, &dataset.path)?;
    }
    let description = Description {
        engine: plan.engine.name().into(),
        data,
        model: started.info.map(|info| info.description),
        remote: started.generator.describe(),
    };
    Ok((started.generator, description))
}

fn expected_samples(plan: &RunPlan) -> Option<u64> {
    let rows = plan.prompts.len() as u64;
    let audited = plan.loadgen.audited().ok()?;
    (plan.mode != ModeArg::FindPeak).then(|| audited.expected_samples(rows, rows))
}

/// LoadGen sleeps until each scheduled Server query, and a test cannot be aborted. When a failed run has much of its
/// schedule left, the verdict is written and the process ends; its logs are cut off and labelled so.
fn leave_early(finish: &Finish) {
    let plan = &finish.plan;
    if plan.scenario == ScenarioArg::Offline {
        return;
    }
    let expected = expected_samples(plan);
    let schedule = expected.map(|n| n as f64 / plan.requested.target_qps.max(f64::MIN_POSITIVE));
    let remaining = schedule.map_or(f64::INFINITY, |s| {
        s - finish.started.elapsed().as_secs_f64()
    });
    if remaining <= WORTH_WAITING.as_secs_f64() {
        return;
    }
    std::thread::sleep(LOG_THREAD);
    record_loadgen_faults(&finish.faults, &ossmark_loadgen::faults());
    let outcome = finish.finish(None, true);
    ossmark_loadgen::exit_now(i32::from(outcome.code()));
}

fn record_loadgen_faults(faults: &Faults, found: &ossmark_loadgen::Faults) {
    let dropped = found.dropped_issued + found.dropped_streaming;
    if dropped > 0 {
        faults.record(
            FaultKind::DroppedTicket,
            found.first_dropped.map(|s| s as u64),
            || format!("{dropped} sample(s) were dropped without an answer"),
        );
    }
    for panic in &found.panics {
        faults.record(FaultKind::Panic, None, || panic.clone());
    }
}

/// What will be done, for whoever wants to know later what was run.
fn run_plan_json(plan: &RunPlan, description: &Description) -> Result<Value> {
    let dataset = plan.dataset.as_ref().map(|d| {
        json!({
            "path": d.path, "rows": d.len(), "file_sha256": d.file_sha256, "content_sha256": d.content_sha256,
            "tokens": d.stats().total,
        })
    });
    let file = |path: &Option<std::path::PathBuf>| {
        path.as_ref().map(
            |p| json!({ "path": p, "content": ossmark_files::read_to_string(p).unwrap_or_default() }),
        )
    };
    let on_gpu = match &plan.engine {
        EnginePlan::Model { devices, .. } => devices.iter().any(|d| matches!(d, Device::Cuda(_))),
        EnginePlan::Echo(_) | EnginePlan::Http { .. } => false,
    };
    Ok(json!({
        "ossmark": provenance::provenance(on_gpu),
        "command": std::env::args().collect::<Vec<_>>(),
        "loadgen": { "version": ossmark_loadgen::LOADGEN_VERSION, "source": ossmark_loadgen::LOADGEN_SOURCE },
        "round": plan.round,
        "scenario": plan.scenario,
        "mode": plan.mode,
        "engine": description.engine,
        "model": match &plan.engine {
            EnginePlan::Model { weights, devices } => json!({
                "path": weights.path(), "synthetic": weights.synthetic_json(), "description": description.model,
                "engines": devices.len(),
            }),
            EnginePlan::Http { model, .. } => json!({ "path": model }),
            EnginePlan::Echo(_) => Value::Null,
        },
        "remote": description.remote,
        "dataset": dataset,
        "tokenizer": pairing::tokenizer_json(plan.engine.model())?,
        "dtype": (!matches!(plan.engine, EnginePlan::Http { .. })).then_some(plan.dtype),
        "kv_dtype": match &plan.engine {
            EnginePlan::Model { devices, .. } => Some(devices[0].kv_dtype()),
            EnginePlan::Echo(_) | EnginePlan::Http { .. } => None,
        },
        "sampling": {
            "temperature": plan.template.sampling.temperature,
            "top_p": plan.template.sampling.top_p,
            "top_k": plan.template.sampling.top_k,
            "seed": plan.template.seed,
            "generator": match &plan.engine {
                EnginePlan::Http { .. } => "the server's; each request's seed is from seed and issue order",
                _ => "mt19937 per request, seeded from seed and issue order",
            },
        },
        "max_new_tokens": plan.template.max_new_tokens,
        "user_conf": file(&plan.loadgen.user_conf),
        "audit_config": file(&plan.loadgen.audit_config),
        "requested_settings": plan.requested,
        "watchdog_s": plan.watchdog.as_secs_f64(),
        "drill": plan.drill.map(|d| format!("{:?}@{}", d.kind, d.at)),
    }))
}
