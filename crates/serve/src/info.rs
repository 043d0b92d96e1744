//! What gateways and load generators ask a server about itself, in SGLang's and vLLM's words. Nothing of it names a path, a
//! host or a key.

use serde_json::{Value, json};

use crate::clock;
use crate::state::AppState;

/// This server's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `/version`, as vLLM.
pub(crate) fn version(_: &AppState) -> Value {
    json!({ "version": VERSION })
}

/// `/model_info`, as SGLang; where it has paths, the model's name.
pub(crate) fn model_info(state: &AppState) -> Value {
    json!({
        "model_path": state.settings.model_name,
        "served_model_name": state.settings.model_name,
        "tokenizer_path": state.settings.model_name,
        "is_generation": true,
        "preferred_sampling_params": null,
        "weight_version": "default",
        "has_image_understanding": false,
        "has_audio_understanding": false,
        "model_type": "gpt_oss",
        "architectures": ["GptOssForCausalLM"],
    })
}

/// `/server_info`, as SGLang, of its settings those that are known here.
pub(crate) fn server_info(state: &AppState) -> Value {
    let settings = &state.settings;
    json!({
        "version": VERSION,
        "model_path": settings.model_name,
        "served_model_name": settings.model_name,
        "context_length": state.limits.max_context,
        "max_running_requests": settings.max_concurrency,
        "stream_interval": settings.stream_interval,
        "incremental_streaming_output": settings.incremental_output,
        "disable_radix_cache": true,
        "random_seed": settings.seed,
        "dp_size": state.registry.load().len().max(1),
        "weight_version": "default",
        "status": "ready",
    })
}

/// `/v1/loads`, as SGLang: how each engine is doing.
pub(crate) fn loads(state: &AppState) -> Value {
    let engines = state.registry.load();
    let loads: Vec<Value> = engines
        .iter()
        .enumerate()
        .map(|(rank, engine)| {
            let used = engine.total_blocks.saturating_sub(engine.stats.free_blocks);
            json!({
                "dp_rank": rank,
                "num_running_reqs": engine.stats.running,
                "num_waiting_reqs": engine.stats.waiting,
                "num_total_reqs": engine.stats.running + engine.stats.waiting,
                "token_usage": used as f64 / engine.total_blocks.max(1) as f64,
            })
        })
        .collect();
    let total = |count: fn(&ossmark_protocol::EngineStats) -> u64| -> u64 {
        engines.iter().map(|engine| count(&engine.stats)).sum()
    };
    json!({
        "timestamp": clock::now(),
        "version": VERSION,
        "dp_rank_count": loads.len(),
        "loads": loads,
        "aggregate": {
            "total_running_reqs": total(|stats| stats.running),
            "total_waiting_reqs": total(|stats| stats.waiting),
            "total_reqs": total(|stats| stats.running + stats.waiting),
        },
    })
}
