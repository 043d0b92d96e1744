//! What leaves the program: standard output and error that are closed or full, file outputs that are pipes, control characters
//! in what others wrote.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{SHORT_CONF, binary, finish, repository};

pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// A directory in which every line of commands.txt can be run.
pub(crate) fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("user.conf"), SHORT_CONF).unwrap();
    let prompt = r#"{"id":1,"input_tokens":[1,2,3]}"#;
    fs::write(dir.path().join("prompts.jsonl"), prompt).unwrap();
    let tree = repository().join("crates/submission/tests/fixtures/base_tree.tar.gz");
    tar::Archive::new(flate2::read::GzDecoder::new(File::open(tree).unwrap()))
        .unpack(dir.path().join("tree"))
        .unwrap();
    dir
}

/// The words of every command, by its name.
pub(crate) fn commands() -> Vec<(&'static str, Vec<String>)> {
    let lines = include_str!("commands.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    let repo = repository();
    lines
        .map(|line| {
            let (name, options) = line.split_once(" ::").unwrap();
            let options = options
                .replace("{repo}", repo.to_str().unwrap())
                .replace("{tree}", "tree");
            let words = name.split(' ').chain(options.split_whitespace());
            (name, words.map(str::to_owned).collect())
        })
        .collect()
}

pub(crate) fn command(dir: &Path, words: &[String]) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(dir).args(words).stdin(Stdio::null());
    command
}

#[derive(Clone, Copy, Debug)]
enum To {
    /// A pipe whose reader has gone.
    Closed,
    Full,
    /// A pipe that is read.
    Read,
}

impl To {
    fn stdio(self) -> Stdio {
        match self {
            Self::Closed => std::io::pipe().unwrap().1.into(),
            Self::Full => File::options()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into(),
            Self::Read => Stdio::piped(),
        }
    }
}

/// Exit code and what was printed to the outputs that are read; `serve` is ended by SIGTERM once it listens.
fn end(name: &str, words: &[String], out: To, err: To) -> (Option<i32>, String) {
    let dir = place();
    let mut words = words.to_owned();
    let port = (name == "serve").then(|| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    });
    if let (Some(port), Some(word)) = (port, words.last_mut()) {
        *word = port.to_string();
    }
    // A hang is exit code 124.
    let mut child = Command::new("timeout")
        .current_dir(dir.path())
        // Without it `timeout` passes a signal on twice: to its child, then to its process group.
        .arg("--foreground")
        .arg(LIMIT.as_secs().to_string())
        .arg(binary())
        .args(&words)
        .stdin(Stdio::null())
        .env_remove("OSSMARK_API_KEY")
        .stdout(out.stdio())
        .stderr(err.stdio())
        .spawn()
        .unwrap();
    if let Some(port) = port {
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() && start.elapsed() < LIMIT {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                // It listens before it says so; what it says then must not be cut off by the signal.
                std::thread::sleep(Duration::from_millis(200));
                signal(&child, rustix::process::Signal::TERM);
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let done = child.wait_with_output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (done.status.code(), text)
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn every_command_with_closed_and_full_outputs() {
    for (name, words) in commands() {
        // These take long; what they print first and last is the same as for all.
        let is_slow = matches!(name, "demo" | "bench loadgen" | "peak");
        let usual = match is_slow {
            true => Some(0),
            false => end(name, &words, To::Read, To::Read).0,
        };
        assert!(matches!(usual, Some(0..=2)), "{name}: {usual:?}");
        let all = [
            (To::Closed, To::Full),
            (To::Closed, To::Closed),
            (To::Closed, To::Read),
            (To::Read, To::Closed),
            (To::Read, To::Full),
        ];
        for (out, err) in all.into_iter().take(if is_slow { 1 } else { all.len() }) {
            let (found, text) = end(name, &words, out, err);
            // Whether a run was in time is the machine's.
            let found = if is_slow && found == Some(1) {
                usual
            } else {
                found
            };
            assert_eq!(found, usual, "{name}, {out:?}, {err:?}: {text}");
            assert!(!text.contains("panicked"), "{name}: {text}");
        }
        let (full, errors) = end(name, &words, To::Full, To::Read);
        assert!(!errors.contains("panicked"), "{name}: {errors}");
        // Those that end with an error before they print anything, or print nothing.
        let prints = !matches!(name, "generate" | "bench-loadgen-child") && usual != Some(2);
        let expected = if prints { Some(2) } else { usual };
        assert_eq!(full, expected, "{name}, stdout full: {errors}");
        if prints {
            let named = "standard output cannot be written";
            assert!(errors.contains(named), "{name}: {errors}");
        }
    }
}

#[test]
fn help_and_version_with_closed_and_full_outputs() {
    let groups =
        ["", "dataset", "submission", "endpoints", "audit", "bench"].map(|g| (g, Vec::new()));
    let all = commands().into_iter().chain(groups);
    for (name, _) in all.filter(|(name, _)| *name != "confine") {
        for option in ["--help", "--version"] {
            if option == "--version" && !name.is_empty() {
                continue;
            }
            let words: Vec<String> = name
                .split_whitespace()
                .chain([option])
                .map(str::to_owned)
                .collect();
            for (out, code) in [(To::Read, 0), (To::Closed, 0), (To::Full, 2)] {
                let (found, text) = end("", &words, out, To::Read);
                assert_eq!(found, Some(code), "{words:?} {out:?}: {text}");
            }
        }
        let wrong: Vec<String> = name
            .split_whitespace()
            .chain(["--no-such-option"])
            .map(str::to_owned)
            .collect();
        for err in [To::Read, To::Closed, To::Full] {
            assert_eq!(
                end("", &wrong, To::Read, err).0,
                Some(2),
                "{wrong:?} {err:?}"
            );
        }
    }
}

/// A name, a value and a file's line with everything that could make a terminal or a reader believe something.
const FORGED: &str = "a\u{1b}[2J\u{1b}]0;x\u{7}\nossmark: all is well\r\u{9b}31m\u{202e}";

fn plain(text: &str) {
    let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(bad), "{text:?}");
    let forged = text
        .lines()
        .find(|line| line.starts_with("ossmark: all is"));
    assert_eq!(forged, None, "{text}");
}

#[test]
fn what_others_wrote_reaches_no_terminal_as_it_is() {
    let dir = place();
    let at = |name: &str| dir.path().join(name);
    let lab = at("tree/closed/OracleLab");
    fs::write(lab.join(FORGED.replace('/', "")), "x").unwrap();
    std::os::unix::fs::symlink("x", lab.join(format!("link{FORGED}"))).unwrap();
    fs::write(at("forged.conf"), format!("*.Offline.{FORGED} = 1\n")).unwrap();
    let kind = serde_json::to_string(FORGED).unwrap();
    fs::write(
        at("recipe.toml"),
        format!("[[source]]\nkind = {kind}\nfiles = [{kind}]\n"),
    )
    .unwrap();
    fs::write(
        at("prompts.jsonl"),
        format!("{{\"id\":{kind},\"prompts\":{kind}}}\n"),
    )
    .unwrap();
    let demo = repository().join("demo");
    let demo = demo.to_str().unwrap();
    let cases: [&[&str]; 10] = [
        &[
            "submission",
            "pack",
            "--input",
            "tree",
            "--submitter",
            "OracleLab",
            "--output",
            "p",
        ],
        &["submission", "check", "--input", "tree"],
        &["submission", "check", "--input", FORGED],
        &[
            "submission",
            "truncate",
            "--input",
            "tree",
            "--submitter",
            FORGED,
            "--backup",
            "b",
        ],
        &[
            "dataset",
            "prepare",
            "--recipe",
            "recipe.toml",
            "--tokenizer",
            demo,
            "--output",
            "d",
        ],
        &["dataset", "inspect", "--dataset", FORGED],
        &[
            "run",
            "--engine",
            "echo",
            "--scenario",
            "offline",
            "--mode",
            "performance",
            "--output",
            "o",
            "--user-conf",
            "forged.conf",
        ],
        &["run", "--scenario", FORGED],
        &[
            "generate",
            "--model",
            demo,
            "--input",
            "prompts.jsonl",
            "--output",
            "g",
        ],
        &["doctor", "--python", FORGED],
    ];
    for case in cases {
        let words: Vec<String> = case.iter().map(|w| w.to_string()).collect();
        let done = finish(command(dir.path(), &words), LIMIT);
        assert!(matches!(done.code(), Some(0..=2)), "{case:?}");
        plain(&done.stdout);
        plain(&done.stderr);
    }
}

#[test]
fn outputs_that_are_standard_output_or_pipes() {
    let demo = repository().join("demo/perf.parquet");
    let inspect = [
        "dataset",
        "inspect",
        "--dataset",
        demo.to_str().unwrap(),
        "--json",
    ];
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let dir = place();
        let words: Vec<String> = inspect
            .iter()
            .map(|w| w.to_string())
            .chain([name.into()])
            .collect();
        let done = finish(command(dir.path(), &words), LIMIT);
        assert_eq!(done.code(), Some(0), "{name}: {}", done.stderr);
        let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(json["rows"], 512);
        assert!(
            done.stderr.contains("prompt length"),
            "people's text: {}",
            done.stderr
        );
        assert!(!dir.path().join("-").exists());
        // Into a file that has something in it already.
        let file = dir.path().join("kept");
        fs::write(&file, "before\n").unwrap();
        let mut child = command(dir.path(), &words);
        child.stdout(File::options().append(true).open(&file).unwrap());
        assert!(child.stderr(Stdio::null()).status().unwrap().success());
        let kept = fs::read_to_string(&file).unwrap();
        assert!(kept.starts_with("before\n{"), "{kept}");
        // A full one is an error, a closed one is none.
        let (full, errors) = end("", &words, To::Full, To::Read);
        assert_eq!(full, Some(2), "{errors}");
        assert_eq!(end("", &words, To::Closed, To::Read).0, Some(0));
    }
    // Every output option of a file, by force: a device is written to and never moved.
    let score = commands()
        .into_iter()
        .find(|(name, _)| *name == "score")
        .unwrap()
        .1;
    let pack = [
        "submission",
        "pack",
        "--input",
        "tree",
        "--submitter",
        "OracleLab",
        "--force",
    ];
    let check = ["submission", "check", "--input", "tree", "--force"];
    let words = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
    let cases = [
        (words(&check), "--csv", Some(0)),
        (words(&check), "--json", Some(0)),
        (words(&pack), "--output", Some(0)),
        (
            [&score[..], &words(&["--force"])].concat(),
            "--details",
            Some(0),
        ),
        (
            [&score[..], &words(&["--force"])].concat(),
            "--accuracy-txt",
            Some(0),
        ),
        (
            [&score[..], &words(&["--force"])].concat(),
            "--json",
            Some(0),
        ),
    ];
    for (words, option, code) in cases {
        for target in ["-", "/dev/null"] {
            let words = [&words[..], &[option.into(), target.into()]].concat();
            let dir = place();
            let done = command(dir.path(), &words).output().unwrap();
            let errors = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), code, "{words:?}: {errors}");
            if target == "-" {
                assert!(!done.stdout.is_empty() && !errors.is_empty(), "{words:?}");
                let is_archive = done.stdout.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
                assert_eq!(is_archive, option == "--output");
            }
            let null = fs::symlink_metadata("/dev/null").unwrap().file_type();
            assert!(std::os::unix::fs::FileTypeExt::is_char_device(&null));
        }
    }
    // One can have it.
    let both = [&words(&check)[..], &words(&["--csv", "-", "--json", "-"])].concat();
    finish(command(place().path(), &both), LIMIT).refused(&["standard output", "two options"]);
    let run = commands()
        .into_iter()
        .find(|(name, _)| *name == "run")
        .unwrap()
        .1;
    let run = [&run[..run.len() - 1], &words(&["-"])].concat();
    finish(command(place().path(), &run), LIMIT).refused(&["--output -", "standard output"]);
}
