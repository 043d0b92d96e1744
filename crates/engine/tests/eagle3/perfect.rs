//! A head that drafts what the target chooses: every draft is accepted, and a round gives four tokens.
//!
//! Target and head are built for it. The target's layers add nothing, so that its next token is a permutation of the last
//! one, read off a one-hot embedding. The head's attention looks at its own position alone (a query and a key that are constant
//! and long, so that the rotary embedding makes every other position lose), adds the token's own embedding to the residual
//! stream and takes what was there before away.

use std::path::Path;

use ossmark_engine::{Features, Speculation};
use safetensors::Dtype;
use serde_json::json;

use crate::drive::{Run, answers, golden, requests};
use crate::heads::{Head, Tensor};

const N: usize = 64;

/// The token after this one.
fn next(token: usize) -> usize {
    (5 * token + 3) % N
}

fn matrix(rows: usize, cols: usize, at: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    (0..rows * cols).map(|i| at(i / cols, i % cols)).collect()
}

fn target(dir: &Path) {
    let mut model = Head {
        config: json!({
            "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "hidden_act": "silu",
            "vocab_size": N, "hidden_size": N, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_local_experts": 2, "num_experts_per_tok": 1, "num_attention_heads": 1,
            "num_key_value_heads": 1, "head_dim": 64, "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"], "rms_norm_eps": 1e-5,
            "swiglu_limit": 7.0, "eos_token_id": 2, "max_position_embeddings": 4096,
            "rope_theta": 150_000.0, "quantization_config": {"quant_method": "mxfp4"},
        }),
        tensors: Default::default(),
    };
    let zeros = |model: &mut Head, name: &str, shape: &[usize]| {
        model.put_f32(name, shape, &vec![0.0; shape.iter().product()]);
    };
    let one_hot = matrix(N, N, |row, col| f32::from(row == col));
    let lm_head = matrix(N, N, |row, col| f32::from(row == next(col)));
    model.put_f32("model.embed_tokens.weight", &[N, N], &one_hot);
    model.put_f32("lm_head.weight", &[N, N], &lm_head);
    model.put_f32("model.norm.weight", &[N], &[1.0; N]);
    for layer in 0..2 {
        let at = |name: &str| format!("model.layers.{layer}.{name}");
        for norm in ["input_layernorm.weight", "post_attention_layernorm.weight"] {
            model.put_f32(&at(norm), &[N], &[1.0; N]);
        }
        for part in ["q", "k", "v", "o"] {
            zeros(
                &mut model,
                &at(&format!("self_attn.{part}_proj.weight")),
                &[N, N],
            );
            zeros(
                &mut model,
                &at(&format!("self_attn.{part}_proj.bias")),
                &[N],
            );
        }
        zeros(&mut model, &at("self_attn.sinks"), &[1]);
        zeros(&mut model, &at("mlp.router.weight"), &[2, N]);
        zeros(&mut model, &at("mlp.router.bias"), &[2]);
        zeros(&mut model, &at("mlp.experts.gate_up_proj_bias"), &[2, 64]);
        zeros(&mut model, &at("mlp.experts.down_proj_bias"), &[2, N]);
        for (name, out, inp) in [("gate_up", 64, N), ("down", N, 32)] {
            for (what, shape) in [
                ("blocks", vec![2, out, inp / 32, 16]),
                ("scales", vec![2, out, inp / 32]),
            ] {
                let tensor = Tensor {
                    dtype: Dtype::U8,
                    data: vec![0; shape.iter().product()],
                    shape,
                };
                let name = at(&format!("mlp.experts.{name}_proj_{what}"));
                model.tensors.insert(name, tensor);
            }
        }
    }
    model.write(dir);
}

fn head(dir: &Path) {
    let mut head = Head {
        config: json!({
            "architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "hidden_size": N,
            "intermediate_size": 8, "num_attention_heads": 1, "num_key_value_heads": 1,
            "head_dim": 64, "rms_norm_eps": 1e-6, "vocab_size": N, "rope_theta": 10_000.0,
            "eagle_aux_hidden_state_layer_ids": [0, 1],
        }),
        tensors: Default::default(),
    };
    let at = |name: &str| format!("midlayer.{name}.weight");
    let zeros = |n: usize| vec![0.0; n];
    head.put_f32("fc.weight", &[N, 2 * N], &zeros(2 * N * N));
    head.put_f32("norm.weight", &[N], &[1.0; N]);
    for norm in ["hidden_norm", "input_layernorm", "post_attention_layernorm"] {
        head.put_f32(&at(norm), &[N], &[1.0; N]);
    }
    // What the token's half has, one number of sqrt(N), gives the same long query and key for every token.
    let constant = matrix(N, 2 * N, |_, col| if col < N { 4.0 } else { 0.0 });
    // A norm makes each one-hot sqrt(N) long: the token's as it is, less what the stream held.
    let scale = 1.0 / (N as f32).sqrt();
    let value = matrix(N, 2 * N, |row, col| match col {
        _ if col == row => scale,
        _ if col == N + row => -scale,
        _ => 0.0,
    });
    head.put_f32(&at("self_attn.q_proj"), &[N, 2 * N], &constant);
    head.put_f32(&at("self_attn.k_proj"), &[N, 2 * N], &constant);
    head.put_f32(&at("self_attn.v_proj"), &[N, 2 * N], &value);
    let one_hot = matrix(N, N, |row, col| f32::from(row == col));
    head.put_f32(&at("self_attn.o_proj"), &[N, N], &one_hot);
    for part in ["gate", "up"] {
        head.put_f32(&at(&format!("mlp.{part}_proj")), &[8, N], &zeros(8 * N));
    }
    head.put_f32(&at("mlp.down_proj"), &[N, 8], &zeros(8 * N));
    head.write(dir);
}

#[test]
fn the_targets_own_argmax_is_always_accepted() {
    let (model, drafter) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    target(model.path());
    head(drafter.path());
    let mut requests = requests(32, N as u64, &[]);
    for request in &mut requests {
        request.sampling.temperature = 0.0;
        request.ignore_eos = true;
        request.max_new_tokens = 24 + request.id.0 as u32 % 5;
        request.stop_tokens = Vec::new().into();
    }
    let plain = answers(&Run::plain(model.path()), &requests);
    let speculation = Speculation {
        head: drafter.path().into(),
        steps: 3,
        features: Features::Boundary,
    };
    let found = answers(&Run::with(model.path(), speculation), &requests);
    for request in &requests {
        let (tokens, end) = &found.by_id[&request.id];
        assert_eq!((tokens, end), {
            let (tokens, end) = &plain.by_id[&request.id];
            (tokens, end)
        });
        let mut last = *request.prompt.last().unwrap() as usize;
        for token in tokens {
            last = next(last);
            assert_eq!(*token as usize, last);
        }
        // The first token is the prompt's; then four a round, and what is left at the end.
        let rounds = found.rounds.iter().filter(|r| r.id == request.id);
        let all = request.max_new_tokens - 1;
        assert_eq!(rounds.clone().count() as u32, all.div_ceil(4));
        assert!(
            rounds
                .clone()
                .all(|r| r.accepted as usize == r.drafted.len())
        );
        let full = rounds.filter(|r| r.drafted.len() == 3).count() as u32;
        assert_eq!(full, all / 4);
    }
    // With another target the same head drafts nonsense, and is refused for its width.
    assert!(
        crate::drive::load(
            &Run::with(
                &golden("a"),
                Speculation {
                    head: drafter.path().into(),
                    steps: 3,
                    features: Features::Boundary
                }
            ),
            1 << 20
        )
        .is_err()
    );
}
