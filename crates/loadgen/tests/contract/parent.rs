//! Starts children and reads what they leave behind.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use loadgen::{LogSettings, Mode, Overrides, Scenario};
use serde_json::Value;
use tempfile::TempDir;

use crate::child::{Answer, Event, Report, SPEC_VARIABLE, Spec};
use crate::log::{Log, summary};

/// Far beyond what any case takes, even on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A case about to be run. Its directory holds logs and configuration.
pub(crate) struct Case {
    pub(crate) dir: TempDir,
    pub(crate) spec: Spec,
    /// Kilobytes of address space, for a case that must run out of memory.
    pub(crate) address_space_kb: Option<u64>,
}

/// The benchmark of most cases: its tokens are timed, and its samples are issued equally often.
pub(crate) const GPT_OSS: &str = "gpt-oss-120b";

/// 24 samples, 12 loaded at a time, short runs, every other setting as mlperf.conf has it.
pub(crate) const TOTAL: usize = 24;
pub(crate) const LOADED: usize = 12;

impl Case {
    pub(crate) fn new(scenario: Scenario, mode: Mode) -> Case {
        let dir = tempfile::tempdir().unwrap();
        let user_conf = dir.path().join("user.conf");
        let text = format!(
            "*.*.performance_sample_count_override = {LOADED}\n*.*.accuracy_sample_count_override = {TOTAL}\n\
             *.Offline.min_duration = 0\n*.Offline.target_qps = 1000\n*.Offline.min_query_count = 100\n\
             *.Server.min_duration = 100\n*.Server.target_qps = 2000\n*.Server.min_query_count = 700\n\
             *.SingleStream.min_duration = 0\n*.SingleStream.min_query_count = 100\n\
             *.MultiStream.min_duration = 0\n*.MultiStream.min_query_count = 700\n"
        );
        std::fs::write(&user_conf, text).unwrap();
        let spec = Spec {
            scenario,
            mode,
            model: GPT_OSS.into(),
            user_conf: Some(user_conf),
            audit_config: None,
            log: LogSettings::in_dir(dir.path()),
            overrides: Overrides::default(),
            sut_name: "null SUT".into(),
            total: TOTAL,
            performance: LOADED,
            answer: Answer::Inline,
            twice: false,
            untimed: false,
        };
        Case {
            dir,
            spec,
            address_space_kb: None,
        }
    }

    /// The same of a benchmark without tokens. No limit on latency is missed however slow the machine is.
    pub(crate) fn untimed(scenario: Scenario, mode: Mode) -> Case {
        let mut case = Case::new(scenario, mode);
        let path = case.spec.user_conf.clone().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + "*.Server.target_latency = 60000\n").unwrap();
        case.spec.model = "resnet50".into();
        case.spec.untimed = true;
        case
    }

    /// Writes a file into the case's directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn user_conf(&mut self, text: &str) {
        self.spec.user_conf = Some(self.file("own.conf", text));
    }

    /// Runs the child in the case's directory.
    pub(crate) fn run(self) -> Done {
        let exe = std::env::current_exe().unwrap();
        let mut command = match self.address_space_kb {
            None => Command::new(exe),
            Some(kb) => {
                let mut shell = Command::new("sh");
                shell
                    .args(["-c", &format!("ulimit -v {kb} && exec \"$0\" \"$@\"")])
                    .arg(exe);
                shell
            }
        };
        let mut child = command
            .args([
                "--exact",
                "child",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(SPEC_VARIABLE, serde_json::to_string(&self.spec).unwrap())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = reader(child.stdout.take().unwrap());
        let stderr = reader(child.stderr.take().unwrap());
        let Some(status) = ends(&mut child) else {
            panic!("hangs: {:?}\n{}", self.spec, stderr.join().unwrap());
        };
        let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
        let report = stdout
            .lines()
            .find_map(|line| line.strip_prefix("REPORT "))
            .map(|json| serde_json::from_str(json).unwrap());
        Done {
            dir: self.dir,
            spec: self.spec,
            status,
            stdout,
            stderr,
            report,
        }
    }

    /// Runs a child that is to report its test, and to end well.
    pub(crate) fn report(self) -> Done {
        let done = self.run();
        assert!(
            done.status.success(),
            "{:?} (signal {:?})\n{}",
            done.status,
            done.status.signal(),
            done.stderr
        );
        assert!(done.report.is_some(), "no report\n{}", done.stderr);
        done
    }

    /// Runs a child whose test cannot be run, and gives the message.
    pub(crate) fn error(self) -> String {
        let done = self.report();
        assert_eq!(done.events(), [], "nothing was to be started");
        done.report()
            .error
            .clone()
            .expect("a test that cannot be run")
    }

    /// Runs a child whose test is to run to its end.
    pub(crate) fn test(self) -> Done {
        let done = self.report();
        assert_eq!(done.report().error, None);
        done
    }
}

/// Waits for a program; one that hangs is killed, and has no status.
pub(crate) fn ends(child: &mut Child) -> Option<ExitStatus> {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn reader(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A child that has ended.
pub(crate) struct Done {
    pub(crate) dir: TempDir,
    pub(crate) spec: Spec,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    report: Option<Report>,
}

impl Done {
    pub(crate) fn report(&self) -> &Report {
        self.report.as_ref().unwrap()
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.report().events
    }

    pub(crate) fn path(&self, log: &str) -> PathBuf {
        let settings = &self.spec.log;
        settings.outdir.join(format!("{}{log}", settings.prefix))
    }

    pub(crate) fn detail(&self) -> Log {
        Log::read(&self.path("detail.txt"))
    }

    /// The result, and the number of errors.
    pub(crate) fn summary(&self) -> (Option<String>, Option<u64>) {
        summary(&self.path("summary.txt"))
    }

    /// The entries of the accuracy log: index, tokens of `data`, tokens of `token_data`, `token_count`.
    pub(crate) fn accuracy(&self) -> Vec<Logged> {
        let text = std::fs::read_to_string(self.path("accuracy.json")).unwrap();
        let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
        entries
            .iter()
            .map(|entry| Logged {
                index: entry["qsl_idx"].as_u64().unwrap() as usize,
                tokens: tokens(entry["data"].as_str().unwrap()),
                first: entry
                    .get("token_data")
                    .map(|data| tokens(data.as_str().unwrap())),
                count: entry["token_count"].as_u64().unwrap(),
            })
            .collect()
    }

    /// All issued indices in order.
    pub(crate) fn issued(&self) -> Vec<usize> {
        self.events()
            .iter()
            .filter_map(|event| {
                if let Event::Issue(indices) = event {
                    Some(indices)
                } else {
                    None
                }
            })
            .flatten()
            .copied()
            .collect()
    }

    /// Every sample that was loaded, set by set; checks that the sets follow the contract: load, at least one query of
    /// loaded samples, one flush after the last query, unload of the same samples, nothing else.
    pub(crate) fn sets(&self) -> Vec<Vec<usize>> {
        let mut sets = Vec::new();
        let mut events = self.events().iter().peekable();
        while let Some(event) = events.next() {
            let Event::Load(loaded) = event else {
                panic!("{event:?} where a set was to be loaded")
            };
            let mut queries = 0;
            while let Some(Event::Issue(indices)) = events.peek() {
                assert!(
                    indices.iter().all(|index| loaded.contains(index)),
                    "a sample that is not loaded"
                );
                queries += 1;
                events.next();
            }
            assert!(queries > 0, "a set without a query");
            assert_eq!(events.next(), Some(&Event::Flush));
            assert_eq!(events.next(), Some(&Event::Unload(loaded.clone())));
            sets.push(loaded.clone());
        }
        sets
    }

    /// No errors in LoadGen's eyes, none in ours, a finished log, no warning about a stray audit.config.
    pub(crate) fn assert_clean(&self) {
        let detail = self.detail();
        assert_eq!(detail.errors(), [""; 0]);
        assert!(detail.is_complete());
        let warnings = detail.warnings();
        assert!(
            !warnings.iter().any(|w| w.contains("Audit")),
            "{warnings:?}"
        );
        assert_eq!(self.summary().1, Some(0));
        let faults = &self.report().faults;
        assert_eq!(
            (
                &faults["dropped_issued"],
                &faults["dropped_streaming"],
                &faults["panic_count"]
            ),
            (&0.into(), &0.into(), &0.into())
        );
        assert_eq!(faults["first_dropped"], Value::Null);
    }
}

pub(crate) struct Logged {
    pub(crate) index: usize,
    pub(crate) tokens: Vec<u32>,
    pub(crate) first: Option<Vec<u32>>,
    pub(crate) count: u64,
}

/// Upper-case hexadecimal of int32 little-endian.
fn tokens(hex: &str) -> Vec<u32> {
    assert_eq!(hex.len() % 8, 0, "{hex}");
    (0..hex.len())
        .step_by(8)
        .map(|at| {
            u32::from_str_radix(&hex[at..at + 8], 16)
                .unwrap()
                .swap_bytes()
        })
        .collect()
}

/// How often each index occurs, by index.
pub(crate) fn counts(indices: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; indices.iter().max().map_or(0, |max| max + 1)];
    for &index in indices {
        counts[index] += 1;
    }
    counts
}

/// The test process must not be able to leave files elsewhere.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
