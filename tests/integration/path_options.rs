//! Every option that takes a path, of every command: what it is for, and for those that are read a command line that is good
//! but for the path. `src/cli/tests/paths.rs` holds this list against clap's, so that a new option cannot be forgotten;
//! `inputs.rs` gives each of them what is no file.

/// An option, or an argument by its name.
pub(crate) struct PathOption {
    pub(crate) command: &'static str,
    pub(crate) option: &'static str,
    pub(crate) kind: Kind,
}

/// What is done with the path. In command lines `@BAD` is the path, `@REPO` the repository, `@TMP` an empty folder, `@NAME` a
/// folder of [`FOLDERS`].
pub(crate) enum Kind {
    /// A file is read.
    File(&'static str),
    /// Files in a folder of this name are read: each of them is tried.
    Folder(&'static str, &'static str),
    /// A file is read, or files in such a folder.
    Either(&'static str, &'static str),
    /// Something is written.
    Output,
    /// A program is started.
    Program,
    /// Not a path by itself: the options of another command.
    Words,
}

/// Folders that are good but for one file, and which files these are.
pub(crate) const FOLDERS: [(&str, &[&str]); 8] = [
    (
        "@MODEL",
        &["config.json", "generation_config.json", "model.safetensors"],
    ),
    (
        "@SHARDED",
        &[
            "model.safetensors.index.json",
            "model-00001-of-00001.safetensors",
        ],
    ),
    ("@TOKENIZER", &["tokenizer.json", "tokenizer_config.json"]),
    ("@SHARDS", &["part-0.parquet", "part-1.parquet"]),
    ("@LOGS", &["mlperf_log_accuracy.json"]),
    ("@TREE", &[]),
    // What cannot be read in a run is said in its page and in its line.
    ("@RUN", &[]),
    ("@BACKUP", &["manifest.json"]),
];

use Kind::{Either, File, Folder, Output, Program, Words};

const fn path(command: &'static str, option: &'static str, kind: Kind) -> PathOption {
    PathOption {
        command,
        option,
        kind,
    }
}

/// Commands without such an option.
pub(crate) const WITHOUT: [&str; 1] = ["confine"];

pub(crate) const PATH_OPTIONS: &[PathOption] = &[
    path("demo", "output", Output),
    path("demo", "json", Output),
    path("run", "config", File("run --config @BAD")),
    path(
        "run",
        "model",
        Folder(
            "@MODEL",
            "run --scenario offline --mode performance --engine cpu --dataset @REPO/demo/perf.parquet --output @TMP/out --model @BAD",
        ),
    ),
    path(
        "run",
        "dataset",
        Either(
            "@SHARDS",
            "run --scenario offline --mode performance --engine echo --output @TMP/out --dataset @BAD",
        ),
    ),
    path("run", "output", Output),
    path(
        "run",
        "user_conf",
        File(
            "run --scenario offline --mode performance --engine echo --output @TMP/out --user-conf @BAD",
        ),
    ),
    path(
        "run",
        "audit_config",
        File(
            "run --scenario offline --mode performance --engine echo --output @TMP/out --audit-config @BAD",
        ),
    ),
    path(
        "run",
        "echo_script",
        File(
            "run --scenario offline --mode performance --engine echo --output @TMP/out --echo-samples 9 --echo-script @BAD",
        ),
    ),
    path(
        "run",
        "api_key_file",
        File(
            "run --scenario offline --mode performance --engine http --endpoint http://127.0.0.1:9 \
             --dataset @REPO/demo/perf.parquet --output @TMP/out --api-key-file @BAD",
        ),
    ),
    path(
        "run",
        "ca_file",
        File(
            "run --scenario offline --mode performance --engine http --endpoint https://127.0.0.1:9 \
             --dataset @REPO/demo/perf.parquet --output @TMP/out --ca-file @BAD",
        ),
    ),
    path("run", "json", Output),
    path(
        "generate",
        "model",
        Folder(
            "@SHARDED",
            "generate --engine cpu --max-new-tokens 1 --input @TMP/in.jsonl --output @TMP/out.jsonl --model @BAD",
        ),
    ),
    path(
        "generate",
        "input",
        File("generate --engine cpu --model @REPO/demo --output @TMP/out.jsonl --input @BAD"),
    ),
    path("generate", "output", Output),
    path("generate", "logits", Output),
    path(
        "infer",
        "dataset",
        File("infer --engine echo --tokenizer @REPO/demo --output @TMP/out.parquet --dataset @BAD"),
    ),
    path("infer", "output", Output),
    path(
        "infer",
        "tokenizer",
        Either(
            "@TOKENIZER",
            "infer --engine echo --dataset @REPO/demo/perf.parquet --output @TMP/out.parquet --tokenizer @BAD",
        ),
    ),
    path(
        "infer",
        "model",
        Folder(
            "@MODEL",
            "infer --engine cpu --dataset @REPO/demo/perf.parquet --tokenizer @REPO/demo --output @TMP/out.parquet --model @BAD",
        ),
    ),
    path(
        "infer",
        "echo_script",
        File(
            "infer --engine echo --dataset @REPO/demo/perf.parquet --tokenizer @REPO/demo --output @TMP/out.parquet \
             --echo-script @BAD",
        ),
    ),
    path(
        "infer",
        "api_key_file",
        File(
            "infer --engine http --endpoint http://127.0.0.1:9 --dataset @REPO/demo/perf.parquet --tokenizer @REPO/demo \
             --output @TMP/out.parquet --api-key-file @BAD",
        ),
    ),
    path(
        "infer",
        "ca_file",
        File(
            "infer --engine http --endpoint https://127.0.0.1:9 --dataset @REPO/demo/perf.parquet --tokenizer @REPO/demo \
             --output @TMP/out.parquet --ca-file @BAD",
        ),
    ),
    path("infer", "json", Output),
    path(
        "score",
        "log",
        File(
            "score --reference @REPO/tests/fixtures/score/mixed/reference.parquet \
             --tokenizer @REPO/tests/fixtures/score/tokenizer --log @BAD",
        ),
    ),
    path(
        "score",
        "inferred",
        Either("@SHARDS", "score --inferred @BAD"),
    ),
    path(
        "score",
        "reference",
        Either(
            "@SHARDS",
            "score --log @REPO/tests/fixtures/score/mixed/mlperf_log_accuracy.json \
             --tokenizer @REPO/tests/fixtures/score/tokenizer --reference @BAD",
        ),
    ),
    path(
        "score",
        "tokenizer",
        Either(
            "@TOKENIZER",
            "score --log @REPO/tests/fixtures/score/mixed/mlperf_log_accuracy.json \
             --reference @REPO/tests/fixtures/score/mixed/reference.parquet --tokenizer @BAD",
        ),
    ),
    path(
        "score",
        "lcb_problems",
        File(
            "score --log @REPO/tests/fixtures/score/mixed/mlperf_log_accuracy.json --allow-unconfined \
             --reference @REPO/tests/fixtures/score/mixed/reference.parquet \
             --tokenizer @REPO/tests/fixtures/score/tokenizer --lcb-problems @BAD",
        ),
    ),
    path("score", "python", Program),
    path("score", "details", Output),
    path("score", "accuracy_txt", Output),
    path("score", "json", Output),
    path(
        "report",
        "runs",
        Folder("@RUN", "report @RUN @BAD --output @TMP/report.html"),
    ),
    path("report", "output", Output),
    path("report", "json", Output),
    path("compare", "runs", Folder("@RUN", "compare @RUN @BAD")),
    path(
        "compare",
        "with",
        Folder("@RUN", "compare @RUN --with @BAD"),
    ),
    path("compare", "json", Output),
    path("runs", "dir", Folder("@RUN", "runs @BAD")),
    path("runs", "json", Output),
    path("watch", "dir", Folder("@RUN", "watch --once @BAD")),
    path(
        "serve",
        "model",
        Folder(
            "@MODEL",
            "serve --engine cpu --port 0 --tokenizer @REPO/demo --model @BAD",
        ),
    ),
    path(
        "serve",
        "echo_script",
        File("serve --engine echo --port 0 --echo-script @BAD"),
    ),
    path(
        "serve",
        "api_key_file",
        File("serve --engine echo --port 0 --api-key-file @BAD"),
    ),
    path(
        "serve",
        "tokenizer",
        Either(
            "@TOKENIZER",
            "serve --engine echo --port 0 --tokenizer @BAD",
        ),
    ),
    path(
        "dataset prepare",
        "recipe",
        File("dataset prepare --tokenizer @REPO/demo --output @TMP/out.parquet --recipe @BAD"),
    ),
    path(
        "dataset prepare",
        "tokenizer",
        Either(
            "@TOKENIZER",
            "dataset prepare --recipe @REPO/crates/prepare/tests/fixtures/recipe.toml --output @TMP/out.parquet --tokenizer @BAD",
        ),
    ),
    path("dataset prepare", "output", Output),
    path(
        "dataset prepare",
        "templates",
        File(
            "dataset prepare --recipe @REPO/crates/prepare/tests/fixtures/recipe.toml --tokenizer @REPO/demo \
             --output @TMP/out.parquet --templates @BAD",
        ),
    ),
    path("dataset prepare", "json", Output),
    path(
        "dataset inspect",
        "dataset",
        Either("@SHARDS", "dataset inspect --dataset @BAD"),
    ),
    path("dataset inspect", "json", Output),
    path(
        "audit test07",
        "logs",
        Folder(
            "@LOGS",
            "audit test07 --output @TMP/out --accuracy-output @REPO/README.md --logs @BAD",
        ),
    ),
    path("audit test07", "output", Output),
    path(
        "audit test07",
        "audit_config",
        File(
            "audit test07 --output @TMP/out --accuracy-output @REPO/README.md --logs @LOGS --audit-config @BAD",
        ),
    ),
    path("audit test07", "run", Words),
    path("audit test07", "json", Output),
    path(
        "audit test07",
        "reference",
        Either(
            "@SHARDS",
            "audit test07 --output @TMP/out --logs @LOGS --tokenizer @REPO/tests/fixtures/score/tokenizer --reference @BAD",
        ),
    ),
    path(
        "audit test07",
        "tokenizer",
        Either(
            "@TOKENIZER",
            "audit test07 --output @TMP/out --logs @LOGS --reference @REPO/tests/fixtures/score/mixed/reference.parquet \
             --tokenizer @BAD",
        ),
    ),
    path(
        "audit test07",
        "accuracy_output",
        File("audit test07 --output @TMP/out --logs @LOGS --accuracy-output @BAD"),
    ),
    path(
        "audit test09",
        "logs",
        Folder("@LOGS", "audit test09 --output @TMP/out --logs @BAD"),
    ),
    path("audit test09", "output", Output),
    path(
        "audit test09",
        "audit_config",
        // The run is made with it.
        File(
            "audit test09 --output @TMP/out --audit-config @BAD -- --scenario offline --engine echo",
        ),
    ),
    path("audit test09", "run", Words),
    path("audit test09", "json", Output),
    path(
        "submission build",
        "description",
        File("submission build --output @TMP/out --description @BAD"),
    ),
    path("submission build", "output", Output),
    path(
        "submission check",
        "input",
        Folder("@TREE", "submission check --input @BAD"),
    ),
    path("submission check", "csv", Output),
    path("submission check", "json", Output),
    path(
        "submission truncate",
        "input",
        Folder(
            "@TREE",
            "submission truncate --submitter OracleLab --backup @TMP/backup --input @BAD",
        ),
    ),
    path(
        "submission truncate",
        "backup",
        Folder(
            "@BACKUP",
            "submission truncate --submitter OracleLab --input @TREE --backup @BAD",
        ),
    ),
    path("submission truncate", "json", Output),
    path(
        "submission pack",
        "input",
        Folder(
            "@TREE",
            "submission pack --submitter OracleLab --output @TMP/out.tar.zst --input @BAD",
        ),
    ),
    path("submission pack", "output", Output),
    path(
        "submission pack",
        "verify",
        File("submission pack --verify @BAD"),
    ),
    path("submission pack", "json", Output),
    path("bench loadgen", "python", Program),
    path("bench loadgen", "output", Output),
    path("bench loadgen", "json", Output),
    path("bench kernels", "json", Output),
    path(
        "bench engine",
        "model",
        Folder("@MODEL", "bench engine --model @BAD"),
    ),
    path("bench engine", "json", Output),
    path("bench-loadgen-child", "output", Output),
    path("doctor", "python", Program),
    path("doctor", "json", Output),
];
