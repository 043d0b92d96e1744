//! `run`, `infer` and `serve` with a draft head: the same answers, labelled as the rules want it, and counted.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ossmark_dataset::Table;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::common::{Bench, SHORT_CONF, answers, binary, finish, repository};
use crate::serve::Server;

const LIMIT: Duration = Duration::from_secs(240);
const HIDDEN: usize = 96;

/// A head for the demo that always drafts one token, which stands in many of its answers.
fn demo_head(dir: &Path, token: i64) {
    let config = json!({
        "architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "hidden_size": HIDDEN,
        "intermediate_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
        "vocab_size": 448, "draft_vocab_size": 1, "eagle_aux_hidden_state_layer_ids": [0, 1, 3],
    });
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let layer = |name: &str| format!("midlayer.{name}.weight");
    let shapes = [
        ("fc.weight".into(), vec![HIDDEN, 3 * HIDDEN]),
        ("norm.weight".into(), vec![HIDDEN]),
        ("lm_head.weight".into(), vec![1, HIDDEN]),
        (layer("hidden_norm"), vec![HIDDEN]),
        (layer("input_layernorm"), vec![HIDDEN]),
        (layer("post_attention_layernorm"), vec![HIDDEN]),
        (layer("self_attn.q_proj"), vec![16, 2 * HIDDEN]),
        (layer("self_attn.k_proj"), vec![8, 2 * HIDDEN]),
        (layer("self_attn.v_proj"), vec![8, 2 * HIDDEN]),
        (layer("self_attn.o_proj"), vec![HIDDEN, 16]),
        (layer("mlp.gate_proj"), vec![8, HIDDEN]),
        (layer("mlp.up_proj"), vec![8, HIDDEN]),
        (layer("mlp.down_proj"), vec![HIDDEN, 8]),
    ];
    let offset = token.to_le_bytes();
    let zeros = vec![0; 4 * 3 * HIDDEN * HIDDEN];
    let mut tensors = vec![(
        "d2t".to_owned(),
        TensorView::new(Dtype::I64, vec![1], &offset).unwrap(),
    )];
    for (name, shape) in shapes {
        let bytes = 4 * shape.iter().product::<usize>();
        let view = TensorView::new(Dtype::F32, shape, &zeros[..bytes]).unwrap();
        tensors.push((name, view));
    }
    let file = safetensors::serialize(tensors, None).unwrap();
    std::fs::write(dir.join("model.safetensors"), file).unwrap();
}

/// The token that stands most often in the demo's answers, but for the first of each.
fn most_frequent(answers: &[(u64, Vec<u32>)]) -> i64 {
    let mut counts = vec![0_u32; 448];
    for token in answers.iter().flat_map(|(_, tokens)| &tokens[1..]) {
        counts[*token as usize] += 1;
    }
    let most = counts.iter().max().unwrap();
    counts.iter().position(|n| n == most).unwrap() as i64
}

#[test]
fn a_run_has_the_same_answers_and_says_what_drafted() {
    let log = |bench: &Bench, args: &[&str]| {
        let all = [&["--dtype", "f32", "--max-new-tokens", "12"], args].concat();
        let done = finish(bench.demo_model("offline", "accuracy", &all), LIMIT);
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        let mut answers = answers(&bench.out().join("mlperf_log_accuracy.json"));
        answers.sort();
        answers
    };
    let plain = log(&Bench::new(), &[]);
    let head = tempfile::tempdir().unwrap();
    demo_head(head.path(), most_frequent(&plain));
    let path = head.path().to_str().unwrap();
    let bench = Bench::new();
    let args = [
        "--speculate",
        path,
        "--speculate-steps",
        "4",
        "--speculate-revision",
        "made up",
    ];
    // Sampled at the round's temperature, as the run without.
    assert_eq!(log(&bench, &args), plain);

    let plan = &bench.plan()["speculation"];
    assert_eq!(plan["steps"], 4);
    assert_eq!(plan["revision"], "made up");
    assert_eq!(plan["features"], "block-output");
    let hash = plan["tensors_sha256"].as_str().unwrap();
    assert_eq!(hash.len(), 64);
    let verdict = bench.verdict();
    assert_eq!(verdict["settings"], "test");
    let deviations = verdict["deviations"].to_string();
    for part in [
        "the scenario of speculative decoding is offline",
        "tokens drafted at a time is 4",
        "not verified",
        "stated to be made up",
        hash,
    ] {
        assert!(deviations.contains(part), "{part}: {deviations}");
    }
    let found = &verdict["metrics"]["speculation"];
    assert_eq!(
        (&found["tensors_sha256"], &found["steps"]),
        (&json!(hash), &json!(4))
    );
    let number = |name: &str| found[name].as_u64().unwrap();
    assert!(number("rounds") > 100 && number("accepted") > 0, "{found}");
    assert_eq!(number("steps_saved"), number("accepted"));
    let by_position = |name: &str| -> Vec<u64> {
        let counts = found[name].as_array().unwrap().iter();
        counts.map(|n| n.as_u64().unwrap()).collect()
    };
    assert_eq!(by_position("drafted_by_position").len(), 4);
    assert_eq!(by_position("drafted_by_position")[0], number("rounds"));
    assert_eq!(
        by_position("accepted_by_position").iter().sum::<u64>(),
        number("accepted")
    );
    let length = found["acceptance_length"].as_f64().unwrap();
    let expected = 1.0 + number("accepted") as f64 / number("rounds") as f64;
    assert!((length - expected).abs() < 1e-9);

    // Without a head nothing is said, and what is for a head is refused.
    let bench = Bench::with_conf(SHORT_CONF);
    let done = finish(
        bench.demo_model("offline", "performance", &["--speculate-revision", "x"]),
        LIMIT,
    );
    assert_eq!(done.code(), Some(2));
    assert!(
        done.stderr.contains("--speculate HEAD_DIR"),
        "{}",
        done.stderr
    );
}

#[test]
fn infer_has_the_same_answers() {
    let head = tempfile::tempdir().unwrap();
    demo_head(head.path(), 5);
    let demo = repository().join("demo");
    let answers = |more: &[&str]| {
        let tmp = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary());
        command
            .current_dir(tmp.path())
            .args(["infer", "--engine", "cpu", "--output", "out.parquet"])
            .args(["--dtype", "f32", "--max-new-tokens", "6", "--dp", "2"])
            .args(more);
        for (flag, file) in [
            ("--model", demo.clone()),
            ("--dataset", demo.join("perf.parquet")),
        ] {
            command.arg(flag).arg(file);
        }
        let done = finish(command, LIMIT);
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        let table = Table::open(&tmp.path().join("out.parquet")).unwrap();
        table.tokens("tok_model_output_0").unwrap()
    };
    let path = head.path().to_str().unwrap();
    assert_eq!(answers(&["--speculate", path]), answers(&[]));
}

#[test]
fn serve_has_the_same_answers_and_counts_what_was_accepted() {
    let golden = repository().join("tests/fixtures/golden/a");
    let server = Server::start(&[
        "--engine",
        "cpu",
        "--dtype",
        "f32",
        "--model",
        golden.to_str().unwrap(),
        "--speculate",
        "tests/fixtures/eagle3/a/copycat",
    ]);
    let lines = std::fs::read_to_string(golden.join("golden.jsonl")).unwrap();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let body = json!({
            "input_ids": line["input_tokens"],
            "sampling_params": { "temperature": 0, "max_new_tokens": 24 },
        });
        let answer = server.post("/generate", &body);
        assert_eq!(answer["output_ids"], line["greedy_f32"], "{}", line["id"]);
    }
    let metrics = server.get("/metrics");
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {metrics}"))
            .trim()
            .parse()
            .unwrap()
    };
    let head = "ossmark_speculation_head_info{tensors_sha256=\"";
    let (hash, _) = metrics.split_once(head).unwrap().1.split_once('"').unwrap();
    assert_eq!(hash.len(), 64, "{metrics}");
    let rounds = value("ossmark_speculation_rounds_total ");
    assert_eq!(
        value("ossmark_speculation_drafted_total{position=\"1\"}"),
        rounds
    );
    let accepted = value("ossmark_speculation_accepted_total{position=\"1\"}");
    assert!(accepted > 0 && accepted < rounds, "{accepted} of {rounds}");
    assert!(value("ossmark_speculation_accepted_total{position=\"3\"}") <= accepted);
    let length = metrics
        .lines()
        .find_map(|line| line.strip_prefix("ossmark_speculation_acceptance_length "));
    let length: f64 = length.unwrap().parse().unwrap();
    assert!(length > 1.0 && length < 4.0, "{length}");
}
