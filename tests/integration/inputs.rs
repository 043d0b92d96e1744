//! What is named as an input and is no file: a named pipe (which nobody writes to), a device, a socket, a directory. Every
//! option of every command refuses it by name and at once; nothing waits.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::common::{Done, binary, finish, repository};
use crate::path_options::{FOLDERS, Kind, PathOption, path_options};

/// Far more than any of these needs, on any machine.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Bad {
    Pipe,
    Device,
    Socket,
    Directory,
}

const EVERY: [Bad; 4] = [Bad::Pipe, Bad::Device, Bad::Socket, Bad::Directory];

impl Bad {
    fn make(self, path: &Path) {
        match self {
            Self::Pipe => make_pipe(path),
            Self::Device => symlink("/dev/zero", path).unwrap(),
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::Directory => fs::create_dir(path).unwrap(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pipe => "a named pipe",
            Self::Device => "a device",
            Self::Socket => "a socket",
            Self::Directory => "a directory",
        }
    }
}

fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn remove(path: &Path) {
    if fs::remove_file(path).is_err() {
        let _ = fs::remove_dir_all(path);
    }
}

/// A good folder of [`FOLDERS`].
fn folder(name: &str, to: &Path) {
    let demo = repository().join("demo");
    let copy = |from: &Path, name: &str| {
        fs::copy(from, to.join(name)).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    };
    fs::create_dir_all(to).unwrap();
    match name {
        "@MODEL" => {
            for name in [
                "config.json",
                "generation_config.json",
                "model.safetensors",
                "tokenizer.json",
            ] {
                copy(&demo.join(name), name);
            }
        }
        "@SHARDED" => {
            copy(&demo.join("config.json"), "config.json");
            let shard = "model-00001-of-00001.safetensors";
            let weights = fs::read(demo.join("model.safetensors")).unwrap();
            let length = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
            let header: Map<String, Value> =
                serde_json::from_slice(&weights[8..8 + length]).unwrap();
            let names = header.keys().filter(|name| *name != "__metadata__");
            let map: Map<String, Value> = names.map(|name| (name.clone(), json!(shard))).collect();
            fs::write(to.join(shard), weights).unwrap();
            let index = json!({ "metadata": {}, "weight_map": map }).to_string();
            fs::write(to.join("model.safetensors.index.json"), index).unwrap();
        }
        "@HEAD" => {
            let head = repository().join("tests/fixtures/eagle3/a/copycat");
            for name in ["config.json", "model.safetensors"] {
                copy(&head.join(name), name);
            }
        }
        "@TOKENIZER" => {
            for name in ["tokenizer.json", "tokenizer_config.json"] {
                copy(&demo.join(name), name);
            }
        }
        "@SHARDS" => {
            for name in ["part-0.parquet", "part-1.parquet"] {
                copy(&demo.join("accuracy.parquet"), name);
            }
        }
        "@LOGS" => copy(
            &repository().join("tests/fixtures/score/mixed/mlperf_log_accuracy.json"),
            "mlperf_log_accuracy.json",
        ),
        "@PROBLEMS" => {
            for name in ["test.jsonl", "test2.jsonl"] {
                copy(&demo.join("lcb_problems.jsonl"), name);
            }
        }
        "@TREE" => unpack_tree(to),
        "@RUN" => fs::write(to.join("run_plan.json"), "{}").unwrap(),
        "@CURVE" => fs::create_dir(to.join("r4")).unwrap(),
        "@BACKUP" => fs::write(to.join("manifest.json"), "{}").unwrap(),
        other => panic!("no folder {other}"),
    }
}

fn unpack_tree(to: &Path) {
    let file = repository().join("crates/submission/tests/fixtures/base_tree.tar.gz");
    tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(file).unwrap()))
        .unpack(to)
        .unwrap();
}

/// Runs a command line of the list.
fn try_with(words: &str, bad: &Path) -> Done {
    let tmp = tempfile::tempdir().unwrap();
    fs::write(
        tmp.path().join("in.jsonl"),
        "{\"id\": 1, \"input_tokens\": [5, 6]}",
    )
    .unwrap();
    let mut command = Command::new(binary());
    command
        .current_dir(tmp.path())
        .env_remove("OSSMARK_API_KEY");
    for word in words.split_whitespace() {
        let folder_of = FOLDERS.iter().find(|(name, _)| *name == word);
        command.arg(match (word, folder_of) {
            ("@BAD", _) => bad.to_owned(),
            (_, Some((name, _))) => {
                let to = tmp.path().join(name.trim_start_matches('@'));
                folder(name, &to);
                to
            }
            _ => PathBuf::from(
                word.replace("@REPO", repository().to_str().unwrap())
                    .replace("@TMP", tmp.path().to_str().unwrap()),
            ),
        });
    }
    finish(command, LIMIT)
}

fn refused(option: &PathOption, done: &Done, bad: Bad, path: &Path, parts: &[&str]) {
    let what = format!(
        "{} {}: {bad:?} at {}",
        option.command,
        option.option,
        path.display()
    );
    assert_eq!(
        done.code(),
        Some(2),
        "{what}\n{}\n{}",
        done.stdout,
        done.stderr
    );
    for part in parts.iter().chain([&path.to_str().unwrap()]) {
        assert!(
            done.stderr.contains(part),
            "{what}: expected {part:?} in: {}",
            done.stderr
        );
    }
}

/// Without a GPU this command says so before it looks at a model.
fn needs_a_device(option: &PathOption) -> bool {
    option.command == "bench engine"
}

#[test]
fn every_file_that_is_read_is_refused_by_kind() {
    for option in &path_options() {
        let (Kind::File(words) | Kind::Either(_, words)) = option.kind else {
            continue;
        };
        for bad in EVERY {
            let tmp = tempfile::tempdir().unwrap();
            let path = tmp.path().join("bad");
            bad.make(&path);
            let done = try_with(words, &path);
            // Some take a folder too: then it is one without what they look for in it.
            let parts: &[&str] = match bad {
                Bad::Directory => &[],
                _ => &[bad.name()],
            };
            refused(option, &done, bad, &path, parts);
        }
    }
}

#[test]
fn every_file_in_a_folder_that_is_read_is_refused_by_kind() {
    for option in &path_options() {
        let (Kind::Folder(name, words) | Kind::Either(name, words)) = option.kind else {
            continue;
        };
        let (_, members) = FOLDERS.iter().find(|(folder, _)| *folder == name).unwrap();
        for member in *members {
            for bad in [Bad::Pipe, Bad::Device, Bad::Socket] {
                let tmp = tempfile::tempdir().unwrap();
                folder(name, tmp.path());
                let path = tmp.path().join(member);
                remove(&path);
                bad.make(&path);
                let done = try_with(words, tmp.path());
                match needs_a_device(option) && done.stderr.contains("CUDA") {
                    true => assert_eq!(done.code(), Some(2), "{}", done.stderr),
                    false => refused(option, &done, bad, &path, &[bad.name()]),
                }
            }
        }
    }
}

#[test]
fn what_is_no_folder_is_refused() {
    for option in &path_options() {
        let Kind::Folder(_, words) = option.kind else {
            continue;
        };
        for bad in [Bad::Pipe, Bad::Device, Bad::Socket] {
            let tmp = tempfile::tempdir().unwrap();
            let path = tmp.path().join("bad");
            bad.make(&path);
            let done = try_with(words, &path);
            match needs_a_device(option) && done.stderr.contains("CUDA") {
                true => assert_eq!(done.code(), Some(2), "{}", done.stderr),
                false => refused(option, &done, bad, &path, &[]),
            }
        }
    }
}

/// Where a command line of the list is good but for the path, it is not refused for another reason.
#[test]
fn good_folders_are_taken() {
    for option in &path_options() {
        let Kind::Folder(name @ ("@MODEL" | "@SHARDED" | "@HEAD"), words) = option.kind else {
            continue;
        };
        // These would serve, or need a device, or run for as long as the rules say.
        let long = [
            "serve",
            "bench engine",
            "bench tune",
            "run",
            "peak",
            "preflight",
            "infer",
            "endpoints run",
        ];
        if long.contains(&option.command) {
            continue;
        }
        let tmp = tempfile::tempdir().unwrap();
        folder(name, tmp.path());
        let done = try_with(words, tmp.path());
        assert_eq!(done.code(), Some(0), "{}: {}", option.command, done.stderr);
    }
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, found),
            false => found.push(path),
        }
    }
}

/// Whichever file of a submission's tree is a pipe: it is a finding, and no command waits for it.
#[test]
fn no_command_waits_for_a_pipe_in_a_tree() {
    let tree = tempfile::tempdir().unwrap();
    unpack_tree(tree.path());
    let mut files = Vec::new();
    files_below(tree.path(), &mut files);
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let kept = fs::read(&file).unwrap();
        remove(&file);
        make_pipe(&file);
        let tmp = TempDir::new().unwrap();
        for words in [
            "submission check --input @BAD",
            "submission truncate --submitter OracleLab --backup @TMP/backup --input @BAD",
            "submission pack --submitter OracleLab --output @TMP/out.tar.zst --input @BAD",
            "auditor anomalies @BAD",
            "auditor reproduce @BAD --scenario server --print",
        ] {
            let copy = tmp.path().join("tree");
            let copied = Command::new("cp")
                .arg("-a")
                .arg(tree.path())
                .arg(&copy)
                .status();
            assert!(copied.unwrap().success());
            let done = try_with(words, &copy);
            let wanted = match words.contains("truncate") || words.contains("auditor") {
                // Only logs and accuracy.txt are looked at, or what is not there is said.
                true => &[0, 1, 2][..],
                false => &[1, 2],
            };
            assert!(
                done.code().is_some_and(|code| wanted.contains(&code)),
                "{words} with {}: {:?}\n{}\n{}",
                file.display(),
                done.code(),
                done.stdout,
                done.stderr
            );
            remove(&copy);
        }
        remove(&file);
        fs::write(&file, kept).unwrap();
    }
}

/// The paths in files that are read: a `--config` file, a recipe, a description; and the files that commands go on with.
#[test]
fn paths_in_files_are_refused_by_kind_too() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path();
    let pipe = dir.join("pipe.jsonl");
    make_pipe(&pipe);
    let demo = repository().join("demo");
    let text = |name: &str, text: String| {
        fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    };
    for key in ["dataset", "user-conf", "audit-config"] {
        let config = format!(
            "scenario = \"offline\"\nmode = \"performance\"\nengine = \"echo\"\noutput = \"out\"\n{key} = \"pipe.jsonl\"\n"
        );
        let done = try_with("run --config @BAD", &text("run.toml", config));
        done.refused(&["pipe.jsonl", "a named pipe"]);
    }
    let recipe = |source: &str| format!("[[source]]\nkind = \"aime25\"\n{source}\n");
    for source in ["files = [\"pipe.jsonl\"]", "files = [\"*.jsonl\"]"] {
        let words = format!(
            "dataset prepare --tokenizer {} --output @TMP/out.parquet --recipe @BAD",
            demo.display()
        );
        try_with(&words, &text("recipe.toml", recipe(source)))
            .refused(&["pipe.jsonl", "a named pipe"]);
    }
    let templates = format!(
        "templates = \"pipe.jsonl\"\n{}",
        recipe("files = [\"a.jsonl\"]")
    );
    let words = format!(
        "dataset prepare --tokenizer {} --output @TMP/out.parquet --recipe @BAD",
        demo.display()
    );
    try_with(&words, &text("recipe.toml", templates)).refused(&["pipe.jsonl", "a named pipe"]);

    let journal = dir.join("out.parquet.journal");
    make_pipe(&journal);
    let words = format!(
        "infer --engine echo --dataset {demo}/perf.parquet --tokenizer {demo} --output @BAD",
        demo = demo.display()
    );
    try_with(&words, &dir.join("out.parquet")).refused(&["out.parquet.journal", "a named pipe"]);
}

/// Under a limit of the address space the pool of keys and values cannot be had: an error that names what to lower.
#[test]
fn memory_that_is_not_there_is_an_error_with_the_option_to_lower() {
    let demo = repository().join("demo");
    let demo = demo.display();
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("out.jsonl");
    let input = tmp.path().join("in.jsonl");
    fs::write(&input, "{\"id\": 1, \"input_tokens\": [5, 6]}").unwrap();
    let command = format!(
        "{} generate --engine cpu --threads 1 --model {demo} --input {} --output {}",
        binary().display(),
        input.display(),
        out.display()
    );
    for (kib, options, part) in [
        (
            1 << 20,
            "--kv-memory-mib 8192 --max-batch 4096",
            "--kv-memory-mib",
        ),
        (
            1 << 20,
            "--kv-memory-mib 64 --max-step-tokens 65536 --max-batch 65536",
            "--max-step-tokens",
        ),
    ] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -v {kib}; exec {command} {options}")]);
        finish(shell, LIMIT).refused(&["memory", part]);
    }
    // What fits is not refused.
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        &format!(
            "ulimit -v {}; exec {command} --kv-memory-mib 64 --max-batch 4 --max-new-tokens 1",
            4 << 20
        ),
    ]);
    let done = finish(shell, LIMIT);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
}
