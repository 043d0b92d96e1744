//! Bad input is exit 2 with a message that says what, where and how to fix it; nothing that was there is lost.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{Bench, SHORT_CONF, binary, finish, repository, words};

const LIMIT: Duration = Duration::from_secs(60);

fn copy_demo(to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "model.safetensors",
    ] {
        std::fs::copy(repository().join("demo").join(name), to.join(name)).unwrap();
    }
}

fn edit(file: &Path, edit: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(file).unwrap();
    let edited = edit(text.clone());
    assert_ne!(edited, text, "the edit changed nothing");
    std::fs::write(file, edited).unwrap();
}

/// A run of the copied model after `spoil` has been at it.
fn with_model(spoil: impl FnOnce(&Path)) -> crate::common::Done {
    let bench = Bench::new();
    let model = bench.dir.path().join("model");
    copy_demo(&model);
    spoil(&model);
    let mut command = bench.run(&words(
        "--engine cpu --scenario offline --mode performance --model model",
    ));
    command
        .arg("--dataset")
        .arg(repository().join("demo/perf.parquet"));
    let done = finish(command, LIMIT);
    assert!(
        !bench.out().join("verdict.json").exists(),
        "a run that could not start has no verdict"
    );
    done
}

#[test]
fn truncated_and_lying_checkpoints() {
    with_model(|m| {
        let file = m.join("model.safetensors");
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    })
    .refused(&["model.safetensors"]);
    with_model(|m| std::fs::write(m.join("model.safetensors"), [0xff; 64]).unwrap())
        .refused(&["model.safetensors"]);
    with_model(|m| std::fs::remove_file(m.join("model.safetensors")).unwrap())
        .refused(&["safetensors"]);
    with_model(|m| {
        edit(&m.join("config.json"), |t| {
            t.replace("\"hidden_size\": ", "\"hidden_size\": 1")
        })
    })
    .refused(&["expected"]);
}

#[test]
fn unsupported_configurations() {
    with_model(|m| edit(&m.join("config.json"), |t| t.replace("gpt_oss", "llama")))
        .refused(&["llama"]);
    with_model(|m| edit(&m.join("config.json"), |t| t.replace("yarn", "linear")))
        .refused(&["linear"]);
    with_model(|m| std::fs::write(m.join("config.json"), "{").unwrap()).refused(&["config.json"]);
}

#[test]
fn data_sets_that_cannot_be_used() {
    let demo = repository().join("demo");
    for (name, content, expected) in [
        (
            "data.pkl",
            b"\x80\x04\x95rest".as_slice(),
            &["data.pkl", "pickle", "parquet"][..],
        ),
        (
            "data.parquet",
            b"\x80\x04\x95rest",
            &["data.parquet", "pickle"],
        ),
        ("text.parquet", b"not parquet at all", &["text.parquet"]),
        ("empty.parquet", b"", &["empty.parquet"]),
    ] {
        let bench = Bench::new();
        std::fs::write(bench.dir.path().join(name), content).unwrap();
        let mut command = bench.run(&words("--engine cpu --scenario offline --mode performance"));
        command.arg("--model").arg(&demo).args(["--dataset", name]);
        finish(command, LIMIT).refused(expected);
    }
    let bench = Bench::new();
    let mut command = bench.run(&words("--engine cpu --scenario offline --mode performance"));
    command
        .arg("--model")
        .arg(&demo)
        .args(["--dataset", "nothing.parquet"]);
    finish(command, LIMIT).refused(&["nothing.parquet"]);
}

#[test]
fn prompts_that_the_model_cannot_answer() {
    // Token ids of the real vocabulary, in a file of the official schema, against the demo's small vocabulary.
    let bench = Bench::new();
    let mut command = bench.run(&words("--engine cpu --scenario offline --mode performance"));
    command.arg("--model").arg(repository().join("demo"));
    command
        .arg("--dataset")
        .arg(repository().join("tests/fixtures/score/mixed/reference.parquet"));
    finish(command, LIMIT).refused(&["row", "vocabulary"]);
}

#[test]
fn configuration_files() {
    for (conf, expected) in [
        (
            "*.Offline.target_qps = 1\n*.Offline.min_duration = 1e6\n",
            &["user.conf", "2", "1e6"][..],
        ),
        ("*.Offline.target_qps=1\n", &["user.conf"]),
        ("*.Offline.target_qps = 1 # fast\n", &["user.conf"]),
        ("*.Offline.target_qps = many\n", &["user.conf", "many"]),
    ] {
        let bench = Bench::with_conf(conf);
        finish(bench.echo("offline", "performance", &[]), LIMIT).refused(expected);
    }
    let bench = Bench::new();
    finish(
        bench.echo(
            "offline",
            "performance",
            &["--audit-config", "missing.config"],
        ),
        LIMIT,
    )
    .refused(&["missing.config"]);
    std::fs::write(bench.dir.path().join("run.toml"), "scenari = 1\n").unwrap();
    finish(
        bench.echo("offline", "performance", &["--config", "run.toml"]),
        LIMIT,
    )
    .refused(&["run.toml", "scenari"]);
}

#[test]
fn a_stray_audit_config() {
    let bench = Bench::new();
    std::fs::write(bench.dir.path().join("audit.config"), "*.*.mode = 2\n").unwrap();
    finish(bench.echo("offline", "performance", &[]), LIMIT)
        .refused(&["audit.config", "working directory"]);
}

#[test]
fn output_directories_in_use_or_not_writable() {
    let bench = Bench::with_conf(SHORT_CONF);
    let first = finish(bench.echo("offline", "performance", &[]), LIMIT);
    assert_eq!(first.code(), Some(0), "{}{}", first.stdout, first.stderr);
    let before = std::fs::read(bench.out().join("verdict.json")).unwrap();
    finish(bench.echo("offline", "performance", &[]), LIMIT)
        .refused(&["already holds a run", "--force"]);
    assert_eq!(
        std::fs::read(bench.out().join("verdict.json")).unwrap(),
        before
    );
    let forced = finish(bench.echo("offline", "performance", &["--force"]), LIMIT);
    assert_eq!(forced.code(), Some(0), "{}{}", forced.stdout, forced.stderr);
    assert_eq!(
        std::fs::read(bench.dir.path().join("out.old.1/verdict.json")).unwrap(),
        before
    );

    let bench = Bench::new();
    std::fs::write(bench.out(), "a file").unwrap();
    finish(bench.echo("offline", "performance", &[]), LIMIT).refused(&["out"]);
    assert_eq!(std::fs::read_to_string(bench.out()).unwrap(), "a file");

    // Root may write anywhere, but nobody can write here.
    let mut command = Command::new(binary());
    command.args(words(
        "run --engine echo --scenario offline --mode performance",
    ));
    finish(
        {
            command.args(["--output", "/proc/ossmark"]);
            command
        },
        LIMIT,
    )
    .refused(&["/proc/ossmark"]);
}

#[test]
fn arguments() {
    let bench = Bench::new();
    finish(bench.echo("sideways", "performance", &[]), LIMIT).refused(&["sideways", "offline"]);
    finish(
        bench.echo("offline", "performance", &["--round", "v9.9"]),
        LIMIT,
    )
    .refused(&["v9.9", "v6.1"]);
    finish(
        bench.echo("offline", "performance", &["--max-new-tokens", "0"]),
        LIMIT,
    )
    .refused(&["max-new-tokens"]);
    finish(
        bench.echo("offline", "performance", &["--temperature=-1"]),
        LIMIT,
    )
    .refused(&["temperature"]);
    finish(bench.echo("offline", "find-peak", &[]), LIMIT).refused(&["FindPeak", "Server"]);
    finish(
        bench.run(&["--scenario", "offline", "--mode", "performance"]),
        LIMIT,
    )
    .refused(&["--dataset"]);
}

/// Nothing else is looked at before the engine, so the files need not exist.
#[test]
fn a_cuda_engine_that_cannot_be_had() {
    let generate = |more: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["generate", "--model", "m", "--input", "i", "--output", "o"]);
        command.args(["--engine", "cuda"]).args(more);
        finish(command, LIMIT)
    };
    generate(&["--dtype", "f32"]).refused(&["--engine cuda", "bf16", "--engine cpu"]);
    generate(&["--threads", "2"]).refused(&["--threads"]);
    generate(&["--cpu-repack", "on"]).refused(&["--cpu-repack", "--engine cpu"]);
    if Command::new("ldconfig")
        .arg("-p")
        .output()
        .is_ok_and(|o| !String::from_utf8_lossy(&o.stdout).contains("libcuda.so"))
    {
        generate(&[]).refused(&["libcuda.so", "driver", "--engine cpu"]);
    }
}

#[test]
fn engines_that_cannot_share_the_work() {
    let bench = Bench::new();
    let run = |args: &[&str]| finish(bench.demo_model("offline", "performance", args), LIMIT);
    for n in ["0", "65"] {
        run(&["--dp", n]).refused(&["--dp", "1 to 64"]);
    }
    finish(bench.echo("offline", "performance", &["--dp", "2"]), LIMIT)
        .refused(&["--dp 2", "echo"]);
}
