//! `run_plan.json`: what was asked and what will be done, written before the test.

use anyhow::Result;
use ossmark_engine::{Features, KernelUse};
use serde_json::{Value, json};

use super::plan::RunPlan;
use super::requested::requested_json;
use super::{power, provenance};
use crate::generator::device::Device;
use crate::generator::engine_plan::EnginePlan;
use crate::pairing;

/// What the logs and the plan call the parts of a run.
pub(super) struct Description {
    pub(super) engine: String,
    pub(super) data: String,
    /// One line about the model.
    pub(super) model: Option<String>,
    /// Which kernels compute, on a GPU.
    pub(super) kernels: Option<KernelUse>,
    /// What the generator says of the servers behind it.
    pub(super) remote: Option<ossmark_protocol::Description>,
}

/// What will be done, for whoever wants to know later what was run.
pub(super) fn run_plan_json(plan: &RunPlan, description: &Description) -> Result<Value> {
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
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    Ok(json!({
        "ossmark": provenance::provenance(on_gpu),
        "command": power::shown_command(words, &plan.power),
        "loadgen": { "version": loadgen::LOADGEN_VERSION, "source": loadgen::LOADGEN_SOURCE },
        "round": plan.round,
        "scenario": plan.scenario,
        "mode": plan.mode,
        "engine": description.engine,
        "model": match &plan.engine {
            EnginePlan::Model { weights, devices } => json!({
                "path": weights.path(), "synthetic": weights.synthetic_json(), "description": description.model,
                "engines": devices.len(), "kernels": description.kernels,
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
        "speculation": plan.engine.speculation().zip(plan.head.as_ref()).map(|(s, head)| json!({
            "head": s.head, "tensors_sha256": head.tensors_sha256, "revision": head.revision,
            "steps": s.steps, "topk": 1, "draft_sample_method": "greedy",
            "features": match s.features {
                Features::BlockOutput => "block-output",
                Features::Boundary => "boundary",
            },
        })),
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
        "requested_settings": requested_json(&plan.requested, &plan.loadgen.model),
        "watchdog_s": plan.watchdog.as_secs_f64(),
        "stop_hopeless": plan.stop_hopeless,
        "drill": plan.fault_injection.map(|d| format!("{:?}@{}", d.kind, d.at)),
    }))
}
