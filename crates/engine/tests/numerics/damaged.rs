//! Checkpoints are untrusted: whatever is wrong with one is an error that names the place, never a panic.

use std::fs;
use std::path::Path;

use ossmark_engine::executor::{BlockTable, InputToken, SampleSpec, StepPlan, StepSeq};
use ossmark_engine::{CpuSettings, Dtype, LoadError, load_cpu};
use ossmark_protocol::Sampling;
use proptest::prelude::*;
use safetensors::Dtype as Stored;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::drive::{alone, load, settings};
use crate::tiny::{Random, Tiny, write_json, write_tensors};

fn refused(dir: &Path) -> String {
    match load_cpu(dir, &settings(Dtype::F32)) {
        Ok(_) => panic!("the checkpoint was taken"),
        Err(e) => e.to_string(),
    }
}

/// The error after one value of config.json was replaced.
fn with_config(field: &str, value: Value) -> String {
    let m = Tiny::default();
    let dir = m.folder();
    let mut config = m.config();
    config[field] = value;
    write_json(&dir.path().join("config.json"), &config);
    refused(dir.path())
}

#[test]
fn config_values_that_are_not_computed_name_the_field() {
    for (field, value, word) in [
        (
            "architectures",
            json!(["LlamaForCausalLM"]),
            "LlamaForCausalLM",
        ),
        ("model_type", json!("qwen"), "qwen"),
        ("hidden_act", json!("gelu"), "gelu"),
        ("attention_bias", json!(false), "attention_bias"),
        ("tie_word_embeddings", json!(true), "tie_word_embeddings"),
        ("quantization_config", json!({"quant_method": "awq"}), "awq"),
        (
            "rope_scaling",
            json!({"rope_type": "linear", "factor": 2.0}),
            "linear",
        ),
        ("rope_theta", json!(-1.0), "rope_theta"),
        ("head_dim", json!(63), "head_dim"),
        (
            "layer_types",
            json!(["sliding_attention", "chunked_attention"]),
            "chunked_attention",
        ),
        ("layer_types", json!(["sliding_attention"]), "1 entries"),
        ("num_key_value_heads", json!(3), "num_key_value_heads"),
        ("num_experts_per_tok", json!(5), "num_experts_per_tok"),
        ("hidden_size", json!(65), "hidden_size"),
        ("hidden_size", json!(1_u64 << 40), "hidden_size"),
        ("vocab_size", json!(u64::MAX), "vocab_size"),
        (
            "num_hidden_layers",
            json!(4_000_000_000_u64),
            "num_hidden_layers",
        ),
        ("sliding_window", json!(0), "sliding_window"),
        ("sliding_window", Value::Null, "sliding_window"),
        (
            "max_position_embeddings",
            json!(0),
            "max_position_embeddings",
        ),
        ("eos_token_id", json!([2, 67]), "67"),
        ("vocab_size", json!("many"), "config.json"),
        ("vocab_size", json!(68), "model.embed_tokens.weight"),
    ] {
        let message = with_config(field, value);
        assert!(message.contains(word), "{field}: {message}");
    }
}

#[test]
fn both_rope_spellings_are_the_same() {
    let m = Tiny {
        original_context: 16,
        factor: 8,
        ..Tiny::default()
    };
    let dir = m.folder();
    let logits = |dir: &Path| {
        alone(
            &mut *load(dir, &settings(Dtype::F32)),
            &m.prompt(40),
            1,
            512,
        )
        .logits
    };
    let before = logits(dir.path());
    let mut config = m.config();
    let fields = config.as_object_mut().unwrap();
    let mut rope = fields.remove("rope_scaling").unwrap();
    rope["rope_theta"] = fields.remove("rope_theta").unwrap();
    rope["type"] = json!("yarn");
    fields.insert("rope_parameters".into(), rope);
    fields.insert("num_experts".into(), json!(m.experts));
    write_json(&dir.path().join("config.json"), &config);
    assert!(logits(dir.path()) == before);
}

#[test]
fn stop_tokens_come_from_generation_config_first() {
    let dir = Tiny::default().folder();
    let stop = || {
        load_cpu(dir.path(), &settings(Dtype::F32))
            .unwrap_or_else(|e| panic!("{e}"))
            .info
            .stop_tokens
    };
    assert_eq!(stop(), [2]);
    write_json(
        &dir.path().join("generation_config.json"),
        &json!({"eos_token_id": [5, 9]}),
    );
    assert_eq!(stop(), [5, 9]);
    write_json(
        &dir.path().join("generation_config.json"),
        &json!({"eos_token_id": 7}),
    );
    assert_eq!(stop(), [7]);
}

#[test]
fn tensors_that_are_missing_or_misshapen_are_named() {
    let m = Tiny::default();
    let dir = m.folder();
    let file = dir.path().join("model.safetensors");
    for name in m.tensors().into_keys() {
        let mut tensors = m.tensors();
        tensors.remove(&name);
        write_tensors(&file, &tensors);
        let message = refused(dir.path());
        assert!(
            message.contains(&name) && message.contains("missing"),
            "{message}"
        );

        let mut tensors = m.tensors();
        let t = tensors.get_mut(&name).unwrap();
        // One row more than the configuration says.
        let row = t.data.len() / t.shape[0];
        t.shape[0] += 1;
        t.data.extend(vec![0; row]);
        write_tensors(&file, &tensors);
        let message = refused(dir.path());
        assert!(
            message.contains(&name) && message.contains("expected"),
            "{message}"
        );
    }
    let mut tensors = m.tensors();
    tensors.get_mut("model.norm.weight").unwrap().dtype = Stored::F16;
    write_tensors(&file, &tensors);
    assert!(refused(dir.path()).contains("F16"));
    // Dense experts: the message says what is taken.
    let mut tensors = m.tensors();
    tensors.retain(|n, _| !n.contains("_blocks") && !n.contains("_scales"));
    write_tensors(&file, &tensors);
    assert!(refused(dir.path()).contains("MXFP4 only"));
}

#[test]
fn files_that_are_cut_or_lie() {
    let dir = Tiny::default().folder();
    let file = dir.path().join("model.safetensors");
    let whole = fs::read(&file).unwrap();
    for keep in [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..keep]).unwrap();
        assert!(
            refused(dir.path()).contains("model.safetensors"),
            "{keep} bytes"
        );
    }
    // A header that claims to be longer than the file, and one with bytes after its data.
    fs::write(&file, [&u64::MAX.to_le_bytes(), &whole[8..]].concat()).unwrap();
    refused(dir.path());
    fs::write(&file, [&whole[..], b"more"].concat()).unwrap();
    refused(dir.path());
    fs::remove_file(&file).unwrap();
    assert!(refused(dir.path()).contains("holds no checkpoint"));
    assert!(matches!(
        load_cpu(Path::new("/does/not/exist"), &settings(Dtype::F32)),
        Err(LoadError::NoCheckpoint(_))
    ));
}

#[test]
fn an_index_must_stay_in_its_folder_and_tell_the_truth() {
    let m = Tiny::default();
    let dir = tempdir().unwrap();
    m.write_sharded(dir.path());
    let path = dir.path().join("model.safetensors.index.json");
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for bad in [
        "../x.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..",
        "",
    ] {
        let mut index = good.clone();
        index["weight_map"]["lm_head.weight"] = json!(bad);
        write_json(&path, &index);
        assert!(refused(dir.path()).contains("plain file name"), "{bad}");
    }
    let mut index = good.clone();
    index["weight_map"]["no.such.tensor"] = json!("model-00001-of-00003.safetensors");
    write_json(&path, &index);
    assert!(refused(dir.path()).contains("no.such.tensor"));
    fs::write(&path, b"{").unwrap();
    assert!(refused(dir.path()).contains("index"));
}

/// Python's json takes the last of two keys of one name: whoever reads such a file has other weights than somebody else.
#[test]
fn what_is_named_twice_is_refused_by_name() {
    let m = Tiny::default();
    let dir = m.folder();
    let file = dir.path().join("model.safetensors");
    let whole = fs::read(&file).unwrap();
    let (length, rest) = whole.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&rest[..length]).unwrap().trim_end();
    let once = header.strip_suffix('}').unwrap();
    let empty = r#""lm_head.weight":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
    let twice = format!("{once},{empty}}}");
    let bytes = [
        &(twice.len() as u64).to_le_bytes(),
        twice.as_bytes(),
        &rest[length..],
    ]
    .concat();
    fs::write(&file, bytes).unwrap();
    let message = refused(dir.path());
    for part in ["model.safetensors", "\"lm_head.weight\" is there twice"] {
        assert!(message.contains(part), "{message}");
    }

    let dir = tempdir().unwrap();
    m.write_sharded(dir.path());
    let path = dir.path().join("model.safetensors.index.json");
    let index = fs::read_to_string(&path).unwrap();
    let with = |first: &str| index.replacen("\"weight_map\"", &format!("{first}\"weight_map\""), 1);
    let entry = r#"{"lm_head.weight": "model-00001-of-00003.safetensors","#;
    let twice = {
        let at = index.find("\"weight_map\"").unwrap();
        let open = at + index[at..].find('{').unwrap();
        format!("{}{entry}{}", &index[..open], &index[open + 1..])
    };
    fs::write(&path, twice).unwrap();
    assert!(refused(dir.path()).contains("\"lm_head.weight\" is there twice"));
    fs::write(&path, with("\"weight_map\": {}, ")).unwrap();
    assert!(refused(dir.path()).contains("duplicate field `weight_map`"));

    let dir = m.folder();
    let path = dir.path().join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replacen('{', "{\"hidden_size\": 64,", 1)).unwrap();
    assert!(refused(dir.path()).contains("duplicate field `hidden_size`"));
}

#[test]
fn settings_without_room_are_refused() {
    let dir = Tiny::default().folder();
    let with = |s: CpuSettings| {
        load_cpu(dir.path(), &s)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let s = settings(Dtype::F32);
    assert!(
        with(CpuSettings {
            memory_budget_bytes: Some(1000),
            ..s.clone()
        })
        .contains("memory budget")
    );
    assert!(
        with(CpuSettings {
            block_size: 0,
            ..s.clone()
        })
        .contains("block_size")
    );
    let huge = CpuSettings {
        memory_budget_bytes: Some(u64::MAX),
        max_seqs: 1 << 16,
        ..s.clone()
    };
    assert!(with(huge).contains("of memory that are free"));
    assert!(with(CpuSettings { max_seqs: 0, ..s }).contains("max_seqs"));
}

#[test]
fn impossible_steps_are_refused() {
    let m = Tiny::default();
    let dir = m.folder();
    let mut exec = load(dir.path(), &settings(Dtype::F32));
    let table = BlockTable {
        first_block: 0,
        blocks: vec![0],
    };
    let good = StepSeq {
        slot: 0,
        start: 0,
        inputs: vec![InputToken::Known(1)],
        full: table.clone(),
        window: BlockTable {
            first_block: 0,
            blocks: vec![1],
        },
        sample: Some(SampleSpec {
            sampling: Sampling::GREEDY,
            uniform: 0.0,
        }),
        want_logits: false,
        ..StepSeq::default()
    };
    let mut bad = vec![good.clone(); 8];
    bad[0].inputs = vec![InputToken::Known(67)];
    bad[1].inputs = vec![InputToken::FromPrevious(64)];
    bad[2].slot = 64;
    bad[3].start = 17;
    bad[4].full.blocks = vec![u32::MAX];
    bad[5].window.first_block = 1;
    bad[6].inputs = Vec::new();
    bad[7].start = u32::MAX;
    for (i, seq) in bad.into_iter().enumerate() {
        assert!(
            exec.submit(StepPlan { seqs: vec![seq] }).is_err(),
            "case {i}"
        );
    }
    assert!(exec.submit(StepPlan::default()).is_err());
    let step = exec.submit(StepPlan { seqs: vec![good] }).unwrap();
    assert!(exec.wait(step).unwrap().tokens[0].is_some());
}

#[test]
fn logits_that_are_not_finite_fail_the_step() {
    let m = Tiny::default();
    let dir = m.folder();
    let mut tensors = m.tensors();
    let scales = tensors
        .get_mut("model.layers.0.mlp.experts.down_proj_scales")
        .unwrap();
    scales.data.fill(255);
    write_tensors(&dir.path().join("model.safetensors"), &tensors);
    let mut exec = load(dir.path(), &settings(Dtype::F32));
    let seq = StepSeq {
        slot: 0,
        start: 0,
        inputs: vec![InputToken::Known(1)],
        full: BlockTable {
            first_block: 0,
            blocks: vec![0],
        },
        window: BlockTable {
            first_block: 0,
            blocks: vec![1],
        },
        sample: Some(SampleSpec {
            sampling: Sampling::GREEDY,
            uniform: 0.0,
        }),
        want_logits: false,
        ..StepSeq::default()
    };
    let step = exec
        .submit(StepPlan {
            seqs: vec![seq.clone()],
        })
        .unwrap();
    assert!(exec.wait(step).unwrap_err().0.contains("not finite"));
    let logits = StepSeq {
        want_logits: true,
        ..seq
    };
    assert!(
        exec.submit(StepPlan { seqs: vec![logits] })
            .unwrap_err()
            .0
            .contains("not finite")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Loads or is refused, and a step of what loads gives an answer or an error.
    #[test]
    fn changed_bytes_never_panic(seed: u64, header: bool) {
        let dir = Tiny::default().folder();
        let name = if seed % 4 == 0 { "config.json" } else { "model.safetensors" };
        let file = dir.path().join(name);
        let mut bytes = fs::read(&file).unwrap();
        let mut random = Random(seed);
        let within = if header { bytes.len().min(4000) } else { bytes.len() };
        for _ in 0..=random.below(3) {
            let at = random.below(within);
            bytes[at] = match random.below(3) {
                0 => random.next() as u8,
                1 => b'0' + random.below(10) as u8,
                _ => bytes[at] ^ (1 << random.below(8)),
            };
        }
        fs::write(&file, bytes).unwrap();
        let small = CpuSettings { memory_budget_bytes: Some(8 << 20), max_step_tokens: 16, max_seqs: 2, ..settings(Dtype::F32) };
        if let Ok(model) = load_cpu(dir.path(), &small) {
            let mut exec = model.executor;
            let seq = StepSeq {
                slot: 0,
                start: 0,
                inputs: vec![InputToken::Known(1), InputToken::Known(3)],
                full: BlockTable { first_block: 0, blocks: vec![0] },
                window: BlockTable { first_block: 0, blocks: vec![1] },
                sample: Some(SampleSpec { sampling: Sampling::GREEDY, uniform: 0.0 }),
                want_logits: true,
                ..StepSeq::default()
            };
            if let Ok(step) = exec.submit(StepPlan { seqs: vec![seq] }) {
                let _ = exec.wait(step);
            }
        }
    }
}
