//! Heads that cannot be run as they say: each is refused, and the message names what is wrong.

use ossmark_engine::{Features, Speculation};
use serde_json::{Value, json};

use crate::drive::{Run, fixtures, golden, load, speculation};
use crate::heads::Head;

fn message(head: &Head) -> String {
    let dir = tempfile::tempdir().unwrap();
    head.write(dir.path());
    refusal(&speculation(dir.path()))
}

fn refusal(speculation: &Speculation) -> String {
    let run = Run::with(&golden("a"), speculation.clone());
    let error = load(&run, 1 << 20).err().expect("refused");
    error.to_string()
}

fn good(name: &str) -> Head {
    Head::read(&fixtures().join("eagle3/a").join(name))
}

/// Sets a key, which may be one of `eagle_config` or `rope_scaling`.
fn with(key: &str, value: Value) -> String {
    let mut head = good("random");
    match key.split_once('.') {
        Some((section, key)) => head.config[section][key] = value,
        None => head.config[key] = value,
    }
    message(&head)
}

#[test]
fn keys_that_are_not_computed_are_named() {
    for (key, value, expected) in [
        (
            "architectures",
            json!(["LlamaForCausalLM"]),
            "LlamaForCausalLMEagle3",
        ),
        ("model_type", json!("mistral"), "llama"),
        ("hidden_size", json!(256), "the target's, 128"),
        ("hidden_size", json!(null), "absent"),
        ("vocab_size", json!(511), "the target's, 512"),
        ("draft_vocab_size", json!(513), "at most"),
        ("num_hidden_layers", json!(2), "one layer"),
        ("hidden_act", json!("gelu"), "silu"),
        ("attention_bias", json!(true), "false"),
        ("mlp_bias", json!(true), "false"),
        ("tie_word_embeddings", json!(true), "false"),
        ("num_key_value_heads", json!(3), "divisor"),
        ("head_dim", json!(63), "even"),
        ("rms_norm_eps", json!(-1.0), "to 1"),
        ("rope_theta", json!("many"), "to"),
        ("rope_scaling.rope_type", json!("yarn"), "llama3"),
        (
            "rope_scaling.high_freq_factor",
            json!(1.0),
            "low_freq_factor",
        ),
        ("rope_scaling.beta_fast", json!(32), "no such key"),
        (
            "rope_parameters",
            json!({"rope_type": "default"}),
            "rope_parameters",
        ),
        (
            "eagle_config.parallel_draft_step",
            json!(2),
            "one token after the other",
        ),
        ("parallel_draft_step", json!(4), "one token after the other"),
        ("eagle_config.use_mtp_layernorm", json!(true), "false"),
        ("eagle_config.use_aux_hidden_state", json!(false), "true"),
        ("eagle_config.use_last_layernorm", json!(false), "true"),
        (
            "eagle_config.use_input_layernorm_in_first_layer",
            json!(false),
            "true",
        ),
        ("eagle_config.norm_output", json!(true), "no such key"),
        ("norm_before_residual", json!(true), "no such key"),
        (
            "quantization_config",
            json!({"quant_method": "fp8"}),
            "no such key",
        ),
        (
            "eagle_config.eagle_aux_hidden_state_layer_ids",
            json!([0, 1, 4]),
            "each 0 to 3",
        ),
        (
            "eagle_config.eagle_aux_hidden_state_layer_ids",
            json!([-1, 1, 2]),
            "each 0 to 3",
        ),
        ("eagle_aux_hidden_state_layer_ids", json!([]), "each 0 to 3"),
        ("eagle_aux_hidden_state_layer_ids", json!(7), "each 0 to 3"),
        ("norm_before_fc", json!("yes"), "true or false"),
    ] {
        let found = with(key, value.clone());
        assert!(
            found.contains(key.rsplit('.').next().unwrap()) && found.contains(expected),
            "{key} = {value}: {found}"
        );
        assert!(found.contains("config.json"), "{found}");
    }
    // The number of layers is a boundary, but nothing is beyond it.
    let dir = tempfile::tempdir().unwrap();
    let mut head = good("boundary");
    head.config["eagle_config"]["eagle_aux_hidden_state_layer_ids"] = json!([1, 2, 5]);
    head.write(dir.path());
    let boundary = Speculation {
        features: Features::Boundary,
        ..speculation(dir.path())
    };
    assert!(refusal(&boundary).contains("each 0 to 4"));
}

#[test]
fn keys_that_change_nothing_are_taken() {
    let mut head = good("random");
    for (key, value) in [
        ("transformers_version", json!("4.57.0")),
        ("something_that_is_off", json!(false)),
        ("something_that_is_not_there", json!(null)),
    ] {
        head.config[key] = value;
    }
    let dir = tempfile::tempdir().unwrap();
    head.write(dir.path());
    let run = Run::with(&golden("a"), speculation(dir.path()));
    assert!(load(&run, 1 << 20).is_ok());
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    type Edit = fn(&mut Head);
    let cases: [(&str, Edit, &[&str]); 12] = [
        (
            "random",
            |h| h.put_f32("fc.weight", &[128, 383], &[0.0; 128 * 383]),
            &["fc.weight", "[128, 383]", "[128, 384]"],
        ),
        (
            "random",
            |h| h.put_i64("norm.weight", &[1; 128]),
            &["norm.weight", "I64", "BF16 or F32"],
        ),
        (
            "random",
            |h| drop(h.tensors.remove("midlayer.mlp.up_proj.weight")),
            &["midlayer.mlp.up_proj.weight is missing"],
        ),
        (
            "copycat",
            |h| h.put_f32("midlayer.hidden_norm.weight", &[128], &[1.0; 128]),
            &[
                "layers.0.hidden_norm.weight",
                "midlayer.hidden_norm.weight",
                "two names",
            ],
        ),
        (
            "random",
            |h| h.put_f32("fc_norm.0.weight", &[128], &[1.0; 128]),
            &["fc_norm.0.weight", "does not know"],
        ),
        (
            "random",
            |h| h.put_f32("layers.1.hidden_norm.weight", &[128], &[1.0; 128]),
            &["layers.1.hidden_norm.weight", "does not know"],
        ),
        (
            "random",
            |h| h.put_f32("input_norm.weight", &[384], &[1.0; 384]),
            &["input_norm.weight", "does not know"],
        ),
        (
            "random",
            |h| h.config["norm_before_fc"] = json!(true),
            &["input_norm.weight is missing"],
        ),
        (
            "d2t",
            |h| h.put_i64("d2t", &[[0; 63].as_slice(), &[449]].concat()),
            &["d2t has 449 for draft token 63", "below 512"],
        ),
        (
            "d2t",
            |h| h.put_i64("d2t", &[&[-1], [0; 63].as_slice()].concat()),
            &["d2t has -1 for draft token 0"],
        ),
        (
            "d2t",
            |h| drop(h.tensors.remove("d2t")),
            &["d2t is missing", "draft_vocab_size"],
        ),
        (
            "d2t",
            |h| drop(h.tensors.remove("lm_head.weight")),
            &["lm_head.weight is missing"],
        ),
    ];
    for (name, edit, words) in cases {
        let mut head = good(name);
        edit(&mut head);
        let found = message(&head);
        for word in words {
            assert!(found.contains(word), "{word}: {found}");
        }
    }
}

#[test]
fn damaged_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let spec = speculation(dir.path());
    assert!(refusal(&spec).contains("holds no checkpoint"));
    let head = good("random");
    head.write(dir.path());
    let weights = dir.path().join("model.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&weights, &whole[..length]).unwrap();
        let found = refusal(&spec);
        assert!(found.contains("model.safetensors"), "{length}: {found}");
    }
    std::fs::write(&weights, &whole).unwrap();
    let config = dir.path().join("config.json");
    for (text, word) in [
        ("{", "not a head's configuration"),
        ("[]", "no object"),
        (
            r#"{"hidden_size":128,"hidden_size":64}"#,
            "duplicate field `hidden_size`",
        ),
        (
            r#"{"eagle_config":{"norm_before_fc":true,"norm_before_fc":false}}"#,
            "duplicate field `norm_before_fc`",
        ),
    ] {
        std::fs::write(&config, text).unwrap();
        let found = refusal(&spec);
        assert!(
            found.contains("config.json") && found.contains(word),
            "{found}"
        );
    }
    for steps in [0, 17] {
        let found = refusal(&Speculation {
            steps,
            ..speculation(&fixtures().join("eagle3/a/random"))
        });
        assert!(found.contains("expected 1 to 16"), "{found}");
    }
}
