//! Starting the binary with a time limit and reading what it left.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// What a finished process left.
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Exit 2 with one message that names everything in `parts`.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) {
        assert_eq!(self.code(), Some(2), "{}\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "expected {part:?} in: {}",
                self.stderr
            );
        }
    }
}

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ossmark"))
}

/// The arguments of a command line in which none has a space.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command to its end; a process over its limit is killed and the test fails.
#[track_caller]
pub(crate) fn finish(mut command: Command, limit: Duration) -> Done {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot start");
    let mut pipes = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read_out = std::thread::spawn(move || read_all(&mut pipes.0));
    let read_err = std::thread::spawn(move || read_all(&mut pipes.1));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if start.elapsed() > limit => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let (stdout, stderr) = (read_out.join().unwrap(), read_err.join().unwrap());
    let Some(status) = status else {
        panic!("still running after {limit:?}\n{stdout}\n{stderr}")
    };
    Done {
        status,
        stdout,
        stderr,
    }
}

fn read_all(pipe: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A directory for one run, with a short user.conf.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
}

/// Short settings of every scenario; each line is a deviation, which the verdict must list.
pub(crate) const SHORT_CONF: &str = "\
gpt-oss-120b.*.performance_sample_count_override = 64
gpt-oss-120b.*.accuracy_sample_count_override = 48
gpt-oss-120b-interactive.*.performance_sample_count_override = 64
gpt-oss-120b-interactive.*.accuracy_sample_count_override = 48
*.Offline.min_duration = 0
*.Offline.target_qps = 500
*.Offline.min_query_count = 64
*.Server.min_duration = 100
*.Server.target_qps = 500
*.Server.min_query_count = 662
";

/// How fast this machine is, and what else it does, is not what is tested.
pub(crate) const ANY_SPEED: &str =
    "gpt-oss-120b.Server.ttft_latency = 60000\ngpt-oss-120b.Server.tpot_latency = 60000\n";

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_conf(SHORT_CONF)
    }

    pub(crate) fn with_conf(conf: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("user.conf"), conf).unwrap();
        Self { dir }
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// `ossmark run` in this directory, with its user.conf and output.
    pub(crate) fn run(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .current_dir(self.dir.path())
            .args(["run", "--output", "out", "--user-conf", "user.conf"])
            .args(args);
        command
    }

    /// `run` with the echo engine.
    pub(crate) fn echo(&self, scenario: &str, mode: &str, args: &[&str]) -> Command {
        let mut command = self.run(&["--engine", "echo", "--scenario", scenario, "--mode", mode]);
        command.args(args);
        command
    }

    /// `run` of the demo checkpoint on the CPU.
    pub(crate) fn demo_model(&self, scenario: &str, mode: &str, args: &[&str]) -> Command {
        let demo = repository().join("demo");
        let mut command = self.run(&["--engine", "cpu", "--scenario", scenario, "--mode", mode]);
        let data = if mode == "accuracy" {
            "accuracy.parquet"
        } else {
            "perf.parquet"
        };
        command
            .arg("--model")
            .arg(&demo)
            .arg("--dataset")
            .arg(demo.join(data))
            .args(args);
        command
    }

    pub(crate) fn verdict(&self) -> Value {
        read_json(&self.out().join("verdict.json"))
    }

    pub(crate) fn plan(&self) -> Value {
        read_json(&self.out().join("run_plan.json"))
    }
}

#[track_caller]
pub(crate) fn read_json(file: &Path) -> Value {
    let text = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Sample and tokens of every entry of an accuracy log.
pub(crate) fn answers(file: &Path) -> Vec<(u64, Vec<u32>)> {
    let log = read_json(file);
    let entries = log.as_array().unwrap().iter().map(|entry| {
        let hex = entry["data"].as_str().unwrap();
        let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
        let tokens = (0..hex.len() / 8)
            .map(|t| u32::from_le_bytes(std::array::from_fn(|i| byte(4 * t + i))));
        let tokens: Vec<u32> = tokens.collect();
        assert_eq!(entry["token_count"].as_u64(), Some(tokens.len() as u64));
        (entry["qsl_idx"].as_u64().unwrap(), tokens)
    });
    entries.collect()
}
