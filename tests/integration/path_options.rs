//! Every option that takes a path, of every command: what it is for, and for those that are read a command line that is good
//! but for the path. `src/cli/tests/paths.rs` holds this list against clap's, so that a new option cannot be forgotten;
//! `inputs.rs` gives each of them what is no file.

/// An option, or an argument by its name.
pub(crate) struct PathOption {
    pub(crate) command: &'static str,
    pub(crate) option: &'static str,
    pub(crate) kind: Kind,
}

/// What is done with the path.
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
pub(crate) const FOLDERS: [(&str, &[&str]); 11] = [
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
    // Of the model in tests/fixtures/golden/a.
    ("@HEAD", &["config.json", "model.safetensors"]),
    ("@TOKENIZER", &["tokenizer.json", "tokenizer_config.json"]),
    ("@SHARDS", &["part-0.parquet", "part-1.parquet"]),
    ("@LOGS", &["mlperf_log_accuracy.json"]),
    ("@PROBLEMS", &["test.jsonl", "test2.jsonl"]),
    ("@TREE", &[]),
    // What cannot be read in a run is said in its page and in its line.
    ("@RUN", &[]),
    // What cannot be read of a point is said in the page.
    ("@CURVE", &[]),
    ("@BACKUP", &["manifest.json"]),
];

/// Commands without such an option.
pub(crate) const WITHOUT: [&str; 3] = ["completions", "confine", "man"];

/// Every option: the lines of `path_options.txt`.
pub(crate) fn path_options() -> Vec<PathOption> {
    let lines = include_str!("path_options.txt").lines();
    lines.filter(|l| !l.starts_with('#')).map(parse).collect()
}

fn parse(line: &'static str) -> PathOption {
    let mut columns = line.split('|').map(str::trim);
    let mut next = || columns.next().unwrap_or_default();
    let (command, option, kind, words) = (next(), next(), next(), next());
    let kind = match kind.split_once(' ').unwrap_or((kind, "")) {
        ("file", "") => Kind::File(words),
        ("folder", name) => Kind::Folder(name, words),
        ("either", name) => Kind::Either(name, words),
        ("output", "") => Kind::Output,
        ("program", "") => Kind::Program,
        ("words", "") => Kind::Words,
        _ => panic!("path_options.txt: {line}"),
    };
    PathOption {
        command,
        option,
        kind,
    }
}
