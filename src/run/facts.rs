//! What was done, in the words of `rules`: from the plan, the model and LoadGen's own log.

use std::collections::BTreeMap;

use ossmark_engine::config::ModelConfig;
use serde_json::Value;

use super::plan::RunPlan;
use super::rules::{Audit, EngineName, ModelFacts, RunFacts, SpeculationFacts};
use crate::cli::DtypeArg;
use crate::generator::device::Device;
use crate::generator::engine_plan::EnginePlan;

/// `settings` are the entries of the detail log.
pub(crate) fn run_facts(plan: &RunPlan, settings: BTreeMap<String, Value>) -> RunFacts {
    let (engine, model) = match &plan.engine {
        EnginePlan::Echo(_) => (EngineName::Echo, None),
        EnginePlan::Http { model, .. } => {
            let config = model.as_deref().and_then(|dir| ModelConfig::load(dir).ok());
            (EngineName::Http, config.map(|c| model_facts(&c)))
        }
        EnginePlan::Model { weights, devices } => (
            match devices[0] {
                Device::Cpu(_) => EngineName::Cpu,
                Device::Cuda(_) => EngineName::Cuda,
            },
            weights.config().ok().map(|c| model_facts(&c)),
        ),
    };
    let mut synthetic = Vec::new();
    if plan.engine.is_synthetic() {
        synthetic.push("weights".into());
    }
    if plan.dataset.is_none() {
        synthetic.push("prompts".into());
    }
    let audit_text = plan
        .loadgen
        .audit_config
        .as_ref()
        .map(|path| ossmark_files::read_to_string(path).unwrap_or_default());
    RunFacts {
        round: plan.round.clone(),
        scenario: plan.scenario,
        mode: plan.mode,
        settings,
        dataset_rows: plan.prompts.len() as u64,
        engine,
        model,
        temperature: f64::from(plan.template.sampling.temperature),
        top_p: f64::from(plan.template.sampling.top_p),
        top_k: plan.template.sampling.top_k,
        max_new_tokens: plan.template.max_new_tokens,
        prng: "mt19937".into(),
        dtype: match plan.dtype {
            DtypeArg::Bf16 => "bf16".into(),
            DtypeArg::F32 => "f32".into(),
        },
        synthetic,
        speculation: plan
            .engine
            .speculation()
            .zip(plan.head.as_ref())
            .map(|(s, head)| SpeculationFacts {
                tensors_sha256: head.tensors_sha256.clone(),
                revision: head.revision.clone(),
                steps: s.steps,
            }),
        audit: audit_text.map(|text| Audit::of(&text)),
        loadgen_version: loadgen::LOADGEN_VERSION.into(),
        loadgen_is_pinned: loadgen::LOADGEN_SOURCE.starts_with("sha256:"),
    }
}

fn model_facts(config: &ModelConfig) -> ModelFacts {
    ModelFacts {
        num_hidden_layers: config.layers.len() as u64,
        hidden_size: config.hidden as u64,
        intermediate_size: config.intermediate as u64,
        num_attention_heads: config.heads as u64,
        num_key_value_heads: config.kv_heads as u64,
        head_dim: config.head_dim as u64,
        num_local_experts: config.experts as u64,
        num_experts_per_tok: config.top_k as u64,
        vocab_size: config.vocab_size as u64,
        sliding_window: config.window.unwrap_or(0) as u64,
    }
}
