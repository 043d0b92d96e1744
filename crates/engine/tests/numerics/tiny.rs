//! Random small checkpoints, written in any of the layouts.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// Dimensions of a random model.
#[derive(Clone)]
pub(crate) struct Tiny {
    pub(crate) vocab: usize,
    pub(crate) hidden: usize,
    pub(crate) inter: usize,
    /// `w` for a window layer, `f` for a full one.
    pub(crate) layers: &'static str,
    pub(crate) experts: usize,
    pub(crate) top_k: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) window: usize,
    pub(crate) original_context: usize,
    pub(crate) factor: usize,
    pub(crate) seed: u64,
}

impl Default for Tiny {
    fn default() -> Self {
        Self {
            vocab: 67,
            hidden: 64,
            inter: 32,
            layers: "wf",
            experts: 4,
            top_k: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 64,
            window: 8,
            original_context: 4096,
            factor: 32,
            seed: 1,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<u8>,
}

pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in -1 .. 1.
    pub(crate) fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

impl Tiny {
    pub(crate) fn config(&self) -> Value {
        let kind = |c| {
            if c == 'w' {
                "sliding_attention"
            } else {
                "full_attention"
            }
        };
        json!({
            "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "hidden_act": "silu",
            "vocab_size": self.vocab, "hidden_size": self.hidden, "intermediate_size": self.inter,
            "num_hidden_layers": self.layers.len(), "num_local_experts": self.experts,
            "num_experts_per_tok": self.top_k, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim, "sliding_window": self.window,
            "layer_types": self.layers.chars().map(kind).collect::<Vec<_>>(), "rms_norm_eps": 1e-5,
            "attention_bias": true, "tie_word_embeddings": false, "swiglu_limit": 7.0, "eos_token_id": 2,
            "max_position_embeddings": self.original_context * self.factor, "rope_theta": 150_000.0,
            "rope_scaling": {"rope_type": "yarn", "factor": self.factor, "beta_fast": 32.0, "beta_slow": 1.0,
                "original_max_position_embeddings": self.original_context, "truncate": false},
            "quantization_config": {"quant_method": "mxfp4"},
        })
    }

    pub(crate) fn original_config(&self) -> Value {
        json!({
            "vocab_size": self.vocab, "hidden_size": self.hidden, "intermediate_size": self.inter,
            "num_hidden_layers": self.layers.len(), "num_experts": self.experts, "experts_per_token": self.top_k,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim,
            "sliding_window": self.window, "swiglu_limit": 7.0, "rope_theta": 150_000.0,
            "rope_scaling_factor": self.factor, "rope_ntk_alpha": 1.0, "rope_ntk_beta": 32.0,
            "initial_context_length": self.original_context,
        })
    }

    /// All tensors under Hugging Face's names.
    pub(crate) fn tensors(&self) -> Tensors {
        let mut random = Random(self.seed);
        let mut all = Tensors::new();
        let mut dense =
            |random: &mut Random, name: String, shape: &[usize], middle: f32, spread: f32| {
                let n: usize = shape.iter().product();
                let value = |_| ((middle + spread * random.signed()).to_bits() >> 16) as u16;
                let data = (0..n).map(value).flat_map(u16::to_le_bytes).collect();
                all.insert(
                    name,
                    Tensor {
                        dtype: Dtype::BF16,
                        shape: shape.to_vec(),
                        data,
                    },
                );
            };
        let fan = |n: usize| 1.7 / (n as f32).sqrt();
        let (h, d) = (self.hidden, self.head_dim);
        dense(
            &mut random,
            "model.embed_tokens.weight".into(),
            &[self.vocab, h],
            0.0,
            1.0,
        );
        dense(
            &mut random,
            "lm_head.weight".into(),
            &[self.vocab, h],
            0.0,
            2.0 * fan(h),
        );
        dense(&mut random, "model.norm.weight".into(), &[h], 1.0, 0.3);
        for i in 0..self.layers.len() {
            let at = |name: &str| format!("model.layers.{i}.{name}");
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                dense(&mut random, at(&format!("{norm}.weight")), &[h], 1.0, 0.3);
            }
            for (p, n) in [
                ("q", self.heads),
                ("k", self.kv_heads),
                ("v", self.kv_heads),
            ] {
                dense(
                    &mut random,
                    at(&format!("self_attn.{p}_proj.weight")),
                    &[n * d, h],
                    0.0,
                    1.5 * fan(h),
                );
                dense(
                    &mut random,
                    at(&format!("self_attn.{p}_proj.bias")),
                    &[n * d],
                    0.0,
                    0.3,
                );
            }
            dense(
                &mut random,
                at("self_attn.o_proj.weight"),
                &[h, self.heads * d],
                0.0,
                fan(self.heads * d),
            );
            dense(&mut random, at("self_attn.o_proj.bias"), &[h], 0.0, 0.3);
            dense(&mut random, at("self_attn.sinks"), &[self.heads], 0.5, 1.0);
            dense(
                &mut random,
                at("mlp.router.weight"),
                &[self.experts, h],
                0.0,
                fan(h),
            );
            dense(
                &mut random,
                at("mlp.router.bias"),
                &[self.experts],
                0.0,
                0.3,
            );
            dense(
                &mut random,
                at("mlp.experts.gate_up_proj_bias"),
                &[self.experts, 2 * self.inter],
                0.0,
                1.0,
            );
            dense(
                &mut random,
                at("mlp.experts.down_proj_bias"),
                &[self.experts, h],
                0.0,
                0.3,
            );
        }
        for i in 0..self.layers.len() {
            for (name, out, inp) in [("gate_up", 2 * self.inter, h), ("down", h, self.inter)] {
                let shape = vec![self.experts, out, inp / 32];
                let n: usize = shape.iter().product();
                let blocks = (0..n * 16).map(|_| random.next() as u8).collect();
                // Around 1 / sqrt(64) for values around 2.5; two scales, so that a swapped one shows.
                let scales = (0..n).map(|_| 122 + random.below(2) as u8).collect();
                let at = |what: &str| format!("model.layers.{i}.mlp.experts.{name}_proj_{what}");
                let blocks_shape = [&shape[..], &[16]].concat();
                all.insert(
                    at("blocks"),
                    Tensor {
                        dtype: Dtype::U8,
                        shape: blocks_shape,
                        data: blocks,
                    },
                );
                all.insert(
                    at("scales"),
                    Tensor {
                        dtype: Dtype::U8,
                        shape,
                        data: scales,
                    },
                );
            }
        }
        all
    }

    /// The same numbers under OpenAI's names.
    pub(crate) fn original_tensors(&self) -> Tensors {
        let hf = self.tensors();
        let mut all = Tensors::new();
        let mut put = |name: String, tensor: &Tensor| all.insert(name, tensor.clone());
        put("embedding.weight".into(), &hf["model.embed_tokens.weight"]);
        put("unembedding.weight".into(), &hf["lm_head.weight"]);
        put("norm.scale".into(), &hf["model.norm.weight"]);
        for i in 0..self.layers.len() {
            let from = |name: &str| &hf[&format!("model.layers.{i}.{name}")];
            for (to, name) in [
                ("attn.norm.scale", "input_layernorm.weight"),
                ("attn.sinks", "self_attn.sinks"),
                ("attn.out.weight", "self_attn.o_proj.weight"),
                ("attn.out.bias", "self_attn.o_proj.bias"),
                ("mlp.norm.scale", "post_attention_layernorm.weight"),
                ("mlp.gate.weight", "mlp.router.weight"),
                ("mlp.gate.bias", "mlp.router.bias"),
                ("mlp.mlp1_weight.blocks", "mlp.experts.gate_up_proj_blocks"),
                ("mlp.mlp1_weight.scales", "mlp.experts.gate_up_proj_scales"),
                ("mlp.mlp1_bias", "mlp.experts.gate_up_proj_bias"),
                ("mlp.mlp2_weight.blocks", "mlp.experts.down_proj_blocks"),
                ("mlp.mlp2_weight.scales", "mlp.experts.down_proj_scales"),
                ("mlp.mlp2_bias", "mlp.experts.down_proj_bias"),
            ] {
                put(format!("block.{i}.{to}"), from(name));
            }
            for part in ["weight", "bias"] {
                let qkv = ["q", "k", "v"].map(|p| from(&format!("self_attn.{p}_proj.{part}")));
                let mut fused = qkv[0].clone();
                fused.shape[0] = qkv.iter().map(|t| t.shape[0]).sum();
                fused.data = qkv.iter().flat_map(|t| t.data.clone()).collect();
                put(format!("block.{i}.attn.qkv.{part}"), &fused);
            }
        }
        all
    }

    /// Writes Hugging Face's layout in one file.
    pub(crate) fn write(&self, dir: &Path) {
        write_json(&dir.join("config.json"), &self.config());
        write_tensors(&dir.join("model.safetensors"), &self.tensors());
    }

    /// A folder of its own with Hugging Face's layout in one file.
    pub(crate) fn folder(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        self.write(dir.path());
        dir
    }

    pub(crate) fn write_original(&self, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        write_json(&dir.join("config.json"), &self.original_config());
        write_tensors(&dir.join("model.safetensors"), &self.original_tensors());
    }

    /// Hugging Face's layout in three files with an index.
    pub(crate) fn write_sharded(&self, dir: &Path) {
        write_json(&dir.join("config.json"), &self.config());
        let mut shards = vec![Tensors::new(); 3];
        let mut map = serde_json::Map::new();
        for (i, (name, tensor)) in self.tensors().into_iter().enumerate() {
            map.insert(
                name.clone(),
                json!(format!("model-0000{}-of-00003.safetensors", i % 3 + 1)),
            );
            shards[i % 3].insert(name, tensor);
        }
        for (i, shard) in shards.iter().enumerate() {
            write_tensors(
                &dir.join(format!("model-0000{}-of-00003.safetensors", i + 1)),
                shard,
            );
        }
        write_json(
            &dir.join("model.safetensors.index.json"),
            &json!({"metadata": {}, "weight_map": map}),
        );
    }

    pub(crate) fn prompt(&self, len: usize) -> Vec<u32> {
        let mut random = Random(self.seed ^ 77);
        (0..len).map(|_| random.below(self.vocab) as u32).collect()
    }
}

pub(crate) fn write_json(path: &Path, value: &Value) {
    std::fs::write(path, serde_json::to_vec(value).unwrap()).unwrap();
}

pub(crate) fn write_tensors(path: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(n, t)| {
        (
            n,
            TensorView::new(t.dtype, t.shape.clone(), &t.data).unwrap(),
        )
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}
