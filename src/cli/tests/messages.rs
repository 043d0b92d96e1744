//! Every message of the program against the command line: none names an option that its command lacks.

use std::path::{Path, PathBuf};

use super::{commands, options};

/// Options that a text names.
pub(super) fn named(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, _) in text.match_indices("--") {
        let before = text[..at].chars().next_back();
        let name: String = text[at + 2..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
            .collect();
        let begins = before.is_none_or(|c| !(c.is_alphanumeric() || c == '-'));
        if begins && name.starts_with(|c: char| c.is_ascii_lowercase()) {
            out.push(name.trim_end_matches('-').to_owned());
        }
    }
    out
}

/// The commands that show the messages of a file: the first entry that the file's path begins with. A file that names an
/// option and is not here fails the test.
const SHOWN_BY: &[(&str, &[&str])] = &[
    ("crates/dataset/", &["score"]),
    // `bench kernels` and `bench engine` show these as well: --engine stands there with the commands that have it.
    (
        "crates/engine/src/cuda",
        &["run", "generate", "infer", "serve"],
    ),
    ("crates/engine/", &["run", "generate", "infer", "serve"]),
    ("crates/endpoints/src/client/audit.rs", &["endpoints check"]),
    ("crates/infer/", &["infer"]),
    ("crates/protocol/", &["run", "infer"]),
    // Only infer waits for servers that are gone.
    ("crates/remote/src/worker.rs", &["infer"]),
    ("crates/remote/", &["run", "infer"]),
    ("crates/report/", &["report"]),
    ("crates/score/", &["score"]),
    ("crates/serve/", &["serve"]),
    ("crates/telemetry/", &["run"]),
    (
        "crates/submission/src/audit.rs",
        &["audit test07", "audit test09"],
    ),
    ("crates/submission/src/audit/test07.rs", &["audit test07"]),
    ("crates/submission/src/audit/test09.rs", &["audit test09"]),
    ("crates/submission/src/build/", &["submission build"]),
    ("crates/submission/src/check.rs", &["submission check"]),
    ("crates/submission/src/pack.rs", &["submission pack"]),
    (
        "crates/submission/src/tree.rs",
        &["submission check", "submission truncate", "submission pack"],
    ),
    (
        "crates/submission/src/truncate.rs",
        &["submission truncate"],
    ),
    ("src/bench/loadgen.rs", &["bench loadgen"]),
    ("src/bench/cpu.rs", &["bench engine"]),
    ("src/bench/device.rs", &["bench engine"]),
    ("src/bench/running.rs", &["bench engine"]),
    ("src/bench/speculation.rs", &["bench engine"]),
    ("src/bench/tune.rs", &["bench tune"]),
    ("src/commands/audit.rs", &["audit test07"]),
    (
        "src/commands/auditor/fingerprint.rs",
        &["auditor fingerprint"],
    ),
    ("src/commands/auditor/perturb", &["auditor perturb"]),
    ("src/commands/auditor/report.rs", &["auditor report"]),
    ("src/commands/auditor/reproduce.rs", &["auditor reproduce"]),
    ("src/commands/compare.rs", &["compare"]),
    ("src/commands/dataset.rs", &["dataset inspect"]),
    ("src/commands/demo.rs", &["demo"]),
    ("src/commands/generate.rs", &["generate"]),
    ("src/commands/infer.rs", &["infer"]),
    ("src/commands/infer/", &["infer"]),
    ("src/commands/peak", &["peak"]),
    ("src/commands/preflight", &["preflight"]),
    ("src/commands/prepare.rs", &["dataset prepare"]),
    ("src/commands/report.rs", &["report"]),
    ("src/commands/runs.rs", &["runs"]),
    ("src/commands/score.rs", &["score"]),
    ("src/commands/serve.rs", &["serve"]),
    ("src/commands/endpoints/build.rs", &["endpoints build"]),
    ("src/commands/endpoints/run", &["endpoints run"]),
    ("src/commands/endpoints.rs", &["endpoints plan"]),
    ("src/commands/submission/rehearse", &["submission rehearse"]),
    ("src/commands/submission/", &["submission check"]),
    ("src/commands/submission.rs", &["submission pack"]),
    ("src/commands/watch.rs", &["watch"]),
    ("src/doctor/hardware.rs", &["auditor fingerprint"]),
    ("src/doctor", &["doctor"]),
    ("src/cli/config_file.rs", &["run"]),
    ("src/generator/engine_plan.rs", &["run", "infer"]),
    ("src/generator/fault_injection.rs", &["run"]),
    ("src/generator/echo.rs", &["run", "infer", "serve"]),
    ("src/generator/remote.rs", &["run", "infer"]),
    ("src/generator/", &["run", "generate", "infer", "serve"]),
    ("src/pairing.rs", &["score", "audit test07"]),
    ("src/run/", &["run"]),
];

/// Options of other programs, and of commands that the message is not shown by, each for its reason.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("crates/protocol/src/error.rs", "max-model-len", "vLLM"),
    ("crates/protocol/src/error.rs", "context-length", "SGLang"),
    (
        "crates/engine/src/cuda/driver/images.rs",
        "gpu-architecture",
        "NVIDIA's compiler",
    ),
    (
        "crates/engine/src/cuda/driver/images.rs",
        "std",
        "NVIDIA's compiler",
    ),
    (
        "crates/telemetry/src/error.rs",
        "host",
        "the program's in the example",
    ),
    (
        "crates/submission/src/build/runs.rs",
        "engine",
        "says how the run was made",
    ),
    (
        "crates/submission/src/build/runs.rs",
        "dataset",
        "says how the run was made",
    ),
    (
        "crates/submission/src/error.rs",
        "round",
        "submission check",
    ),
    (
        "crates/submission/src/error.rs",
        "backup",
        "submission truncate",
    ),
    (
        "src/commands/submission/check.rs",
        "backup",
        "submission truncate",
    ),
    (
        "src/commands/auditor/reproduce.rs",
        "model",
        "among the options of the run, after --",
    ),
    (
        "src/commands/audit.rs",
        "scenario",
        "among the options of the run, after --",
    ),
    (
        "src/commands/audit.rs",
        "model",
        "among the options of the run, after --",
    ),
    (
        "src/commands/audit.rs",
        "dataset",
        "among the options of the run, after --",
    ),
    (
        "src/commands/audit.rs",
        "user-conf",
        "among the options of the run, after --",
    ),
    (
        "src/doctor/machine.rs",
        "output",
        "of the commands that will write there",
    ),
    ("src/doctor/python.rs", "compare-python", "bench loadgen"),
    ("src/doctor/sandbox.rs", "allow-unconfined", "score"),
    // Held by `whoever_claims_a_file_has_force`.
    ("src/output.rs", "output", "of whoever claims a directory"),
    ("src/output.rs", "force", "of whoever claims a file"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All source files of the program, tests and this directory aside, by their paths from the root.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let skip = ["tests", "tests.rs", "examples", "fuzz.rs", "build.rs"];
            match path.is_dir() {
                _ if skip.contains(&name.as_str()) => {}
                true => walk(&path, out),
                false if name.ends_with(".rs") => out.push(path),
                false => {}
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    walk(&root().join("crates"), &mut files);
    files
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(root())
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text
                .split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap()
                .to_owned();
            (name, code)
        })
        .filter(|(name, _)| !name.starts_with("src/cli"))
        .collect()
}

/// String literals outside comments. What is an argument for a child process, "--name" alone, is no message.
fn literals(code: &str) -> Vec<String> {
    let mut out = Vec::new();
    let without_comments: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut rest = without_comments.as_str();
    while let Some(start) = rest.find('"') {
        let is_char = rest[..start].ends_with('\'') || rest[..start].ends_with("b'");
        let body = &rest[start + 1..];
        let mut end = 0;
        let mut escaped = false;
        for (at, c) in body.char_indices() {
            end = at;
            match c {
                '"' if !escaped => break,
                _ => escaped = c == '\\' && !escaped,
            }
        }
        if is_char {
            rest = body;
            continue;
        }
        let text = &body[..end];
        if !text.starts_with("--") || text.contains([' ', '{', ':']) {
            out.push(text.to_owned());
        }
        rest = &body[(end + 1).min(body.len())..];
    }
    out
}

#[test]
fn no_message_names_an_option_that_its_command_lacks() {
    let commands = commands();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, code) in sources() {
        for literal in literals(&code) {
            for option in named(&literal) {
                seen += 1;
                if ELSEWHERE.iter().any(|(f, o, _)| *f == file && *o == option) {
                    continue;
                }
                // "... (`ossmark score --accuracy-txt FILE`)" names the command as well.
                let quoted = commands.iter().any(|(name, command)| {
                    ['`', ' '].iter().any(|before| {
                        format!(" {literal}").contains(&format!("{before}ossmark {name} "))
                    }) && options(command).contains(&option)
                });
                if quoted {
                    continue;
                }
                match SHOWN_BY.iter().find(|(prefix, _)| file.starts_with(prefix)) {
                    None => wrong.push(format!(
                        "{file}: whose message names --{option}? Say so in SHOWN_BY: {literal}"
                    )),
                    Some((_, shown_by)) => {
                        let lack = shown_by
                            .iter()
                            .filter(|name| !options(&commands[**name]).contains(&option));
                        wrong.extend(
                            lack.map(|name| format!("{file}: {name} has no --{option}: {literal}")),
                        );
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        seen > 60,
        "{seen} options in messages: were the sources read?"
    );
}

/// `output` tells whoever finds an earlier file of --force.
#[test]
fn whoever_claims_a_file_has_force() {
    let commands = commands();
    let by_file: &[(&str, &[&str])] = &[
        ("src/bench/device.rs", &["bench kernels", "bench engine"]),
        ("src/commands/audit.rs", &["audit test07", "audit test09"]),
        ("src/commands/auditor/anomalies.rs", &["auditor anomalies"]),
        ("src/commands/doctor.rs", &["doctor"]),
        (
            "src/commands/endpoints.rs",
            &["endpoints check", "endpoints plan", "endpoints report"],
        ),
        (
            "src/commands/submission.rs",
            &[
                "submission build",
                "submission check",
                "submission truncate",
                "submission pack",
            ],
        ),
    ];
    let mut claims = 0;
    for (file, code) in sources() {
        if !["output::claim", "output::check_directory"]
            .iter()
            .any(|call| code.contains(call))
        {
            continue;
        }
        let tables = by_file.iter().chain(SHOWN_BY);
        let shown_by = tables
            .filter(|(prefix, _)| file.starts_with(prefix))
            .map(|(_, commands)| commands)
            .next()
            .unwrap_or_else(|| panic!("{file}: which command claims a file here?"));
        for name in *shown_by {
            claims += 1;
            assert!(
                options(&commands[*name]).contains("force"),
                "{file}: {name}"
            );
        }
    }
    assert!(
        claims > 10,
        "{claims} commands claim files: were the sources read?"
    );
}
