//! The same test by a C++ program: `null_sut.cc`, compiled here and linked with the LoadGen that the build made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::child::{Answer, Event, Spec};
use crate::log::Log;
use crate::parent::{ends, reader};

/// Compiled once for all tests of this process.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/null_sut.cc");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let ours = directory.join(format!("null_sut.{}", std::process::id()));
        let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
        compiler.args(["-std=c++17", "-O1", "-pthread"]);
        let sanitizer = std::env::var("LOADGEN_SANITIZE").ok();
        if let Some(kind) = sanitizer.filter(|kind| !kind.is_empty()) {
            compiler.arg(format!("-fsanitize={kind}"));
        }
        compiler
            .arg(format!("-I{}", env!("LOADGEN_DIRECTORY")))
            .arg(source)
            .arg(Path::new(env!("OUT_DIR")).join("libmlperf_loadgen.a"))
            .arg("-o")
            .arg(&ours);
        let done = compiler.output().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        // One file stays, however often this is run; another process may be running the one that is replaced.
        let program = directory.join("null_sut");
        std::fs::rename(&ours, &program).unwrap();
        program
    })
}

pub(crate) struct Cpp {
    pub(crate) events: Vec<Event>,
    pub(crate) detail: Log,
    pub(crate) accuracy: String,
    pub(crate) summary: PathBuf,
    /// Holds the logs.
    _dir: tempfile::TempDir,
}

/// Runs the test that the spec describes; overrides and audit.config are none.
pub(crate) fn run(spec: &Spec) -> Cpp {
    assert_eq!(spec.audit_config, None);
    let dir = tempfile::tempdir().unwrap();
    let number = |name: &str, all: [&str; 4]| all.iter().position(|one| *one == name).unwrap();
    let scenario = spec.scenario.as_str();
    let ms = match spec.answer {
        Answer::Slowly(ms) => ms,
        _ => 0,
    };
    let mut child = Command::new(program())
        .arg(
            number(
                scenario,
                ["SingleStream", "MultiStream", "Server", "Offline"],
            )
            .to_string(),
        )
        .arg(scenario)
        .arg(
            number(
                spec.mode.as_str(),
                [
                    "SubmissionRun",
                    "AccuracyOnly",
                    "PerformanceOnly",
                    "FindPeakPerformance",
                ],
            )
            .to_string(),
        )
        .arg(&spec.model)
        .arg(spec.user_conf.as_ref().unwrap())
        .arg(dir.path())
        .arg(spec.total.to_string())
        .arg(spec.performance.to_string())
        .arg(if spec.untimed { "0" } else { "1" })
        .arg(ms.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = reader(child.stdout.take().unwrap());
    let stderr = reader(child.stderr.take().unwrap());
    let status = ends(&mut child);
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let good = status.is_some_and(|status| status.success());
    assert!(good, "{status:?}, none where it hangs\n{stdout}{stderr}");
    let events = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("CALL "))
        .map(event)
        .collect();
    let path = |name: &str| dir.path().join(format!("mlperf_log_{name}"));
    Cpp {
        events,
        detail: Log::read(&path("detail.txt")),
        accuracy: std::fs::read_to_string(path("accuracy.json")).unwrap(),
        summary: path("summary.txt"),
        _dir: dir,
    }
}

fn event(line: &str) -> Event {
    let mut words = line.split(' ');
    let name = words.next().unwrap();
    let indices = words.map(|word| word.parse().unwrap()).collect();
    match name {
        "load" => Event::Load(indices),
        "issue" => Event::Issue(indices),
        "flush" => Event::Flush,
        "unload" => Event::Unload(indices),
        _ => panic!("{line}"),
    }
}
