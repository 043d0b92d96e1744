//! Files that are written: by two at a time, by one that is killed or interrupted, on a disk that is full.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{binary, finish};
use crate::outputs::{LIMIT, command, commands, place};

/// Every command that writes: started twice at the same moment, one does it and the other refuses, and loses nothing.
#[test]
fn of_two_started_together_one_writes() {
    let slow = [
        "--echo-tokens",
        "40",
        "--echo-tpot-ms",
        "5",
        "--echo-slots",
        "64",
    ];
    for (name, words) in commands() {
        let writes = matches!(
            name,
            "run" | "infer" | "generate" | "dataset prepare" | "submission pack" | "audit test07"
        );
        if !writes {
            continue;
        }
        for _ in 0..3 {
            let dir = place();
            let mut words = words.clone();
            if name == "run" {
                words.extend(slow.map(str::to_owned));
            }
            let start = || {
                command(dir.path(), &words)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            };
            let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
            let refused = |done: &&std::process::Output| {
                let text = String::from_utf8_lossy(&done.stderr);
                let said = text.contains("another process") || text.contains("already");
                done.status.code() == Some(2) && said
            };
            let n = both.iter().filter(refused).count();
            assert_eq!(n, 1, "{name}: {both:?}");
            let good = both
                .iter()
                .filter(|d| matches!(d.status.code(), Some(0 | 1)));
            assert_eq!(good.count(), 1, "{name}: {both:?}");
            let parts = fs::read_dir(dir.path()).unwrap().flatten();
            let parts = parts.filter(|e| e.file_name().to_string_lossy().contains("ossmark-part"));
            assert_eq!(parts.count(), 0, "{name}");
        }
    }
}

#[test]
fn a_full_disk_leaves_no_archive() {
    for ignored in ["trap '' XFSZ;", ""] {
        let dir = place();
        let script = format!("{ignored} ulimit -f 8; exec \"$0\" \"$@\"");
        let mut sh = Command::new("sh");
        sh.current_dir(dir.path())
            .args(["-c", &script])
            .arg(binary());
        let pack = [
            "submission",
            "pack",
            "--input",
            "tree",
            "--submitter",
            "OracleLab",
        ];
        sh.args(pack).args(["--output", "p.tar.zst"]);
        let done = sh.stdin(Stdio::null()).output().unwrap();
        if !ignored.is_empty() {
            assert_eq!(done.status.code(), Some(2), "{done:?}");
        }
        assert!(!dir.path().join("p.tar.zst").exists());
        // With room again it works, whatever was left.
        let words: Vec<String> = pack
            .iter()
            .chain(&["--output", "p.tar.zst"])
            .map(|w| w.to_string())
            .collect();
        assert_eq!(finish(command(dir.path(), &words), LIMIT).code(), Some(0));
        assert!(!dir.path().join(".p.tar.zst.ossmark-part").exists());
    }
}

/// Killed at thirty moments of its work; how fast the machine is only says which these are.
#[test]
fn truncate_killed_at_any_moment_is_finished_by_the_same_command() {
    const MOMENTS: u32 = 30;
    let words = commands()
        .into_iter()
        .find(|(name, _)| *name == "submission truncate");
    let words = words.unwrap().1;
    let large = |dir: &Path| {
        let results = dir.join("tree/closed/OracleLab/results/null-x1/gpt-oss-120b");
        for scenario in ["Offline", "Server", "Interactive"] {
            let log = results
                .join(scenario)
                .join("accuracy/mlperf_log_accuracy.json");
            let text = fs::read_to_string(&log).unwrap() + &" ".repeat(3_000_000) + scenario;
            fs::write(&log, text).unwrap();
        }
    };
    let mut took = Duration::ZERO;
    for moment in 0..=MOMENTS {
        let dir = place();
        large(dir.path());
        let start = Instant::now();
        let mut truncate = command(dir.path(), &words);
        let mut child = truncate
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if moment == 0 {
            assert!(child.wait().unwrap().success());
            took = start.elapsed();
        } else {
            std::thread::sleep(took * moment / MOMENTS);
            let _ = child.kill();
            child.wait().unwrap();
        }
        let done = finish(command(dir.path(), &words), LIMIT);
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        assert!(done.stdout.contains(" 0 problems"), "{}", done.stdout);
        let left = Command::new("find")
            .arg(dir.path())
            .args(["-mindepth", "1", "-name", ".*"])
            .output();
        let left = left.unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&left), "");
    }
}

/// Ctrl-C once: the child ends as it does at Ctrl-C, the rest is skipped, the message says where things are.
#[test]
fn ctrl_c_in_commands_that_start_others() {
    let slow = |dir: &Path| {
        let conf = "*.Offline.min_duration = 60000\n*.Offline.target_qps = 20\n\
                    gpt-oss-120b.*.performance_sample_count_override = 990\n";
        fs::write(dir.join("slow.conf"), conf).unwrap();
    };
    let audit = "audit test09 --output audit -- --engine echo --scenario offline --user-conf slow.conf \
                 --echo-slots 1 --echo-ttft-ms 100";
    let cases = [
        (
            "demo --output demo",
            "demo/offline-performance/mlperf_log_detail.txt",
            "demo",
        ),
        (
            audit,
            "audit/test09-run/mlperf_log_detail.txt",
            "audit/test09-run",
        ),
        (
            "peak --scenario offline --engine echo --user-conf slow.conf --echo-slots 1 --echo-ttft-ms 100 --output peak",
            "peak/01-probe/mlperf_log_detail.txt",
            "peak",
        ),
        (
            "bench loadgen --seconds 30 --output bench",
            "bench/server-saturated-1/mlperf_log_detail.txt",
            "bench",
        ),
    ];
    for (words, begun, named) in cases {
        // To the parent alone, as `kill` does; to its process group, as a terminal does.
        for group in [false, true] {
            for which in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
                let dir = place();
                slow(dir.path());
                let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
                let child = command(dir.path(), &words)
                    .process_group(0)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                let start = Instant::now();
                while !dir.path().join(begun).exists() {
                    assert!(start.elapsed() < LIMIT, "{words:?} did not begin");
                    std::thread::sleep(Duration::from_millis(5));
                }
                let pid = rustix::process::Pid::from_child(&child);
                match group {
                    true => rustix::process::kill_process_group(pid, which).unwrap(),
                    false => rustix::process::kill_process(pid, which).unwrap(),
                }
                let done = child.wait_with_output().unwrap();
                let errors = String::from_utf8_lossy(&done.stderr).into_owned();
                assert_eq!(done.status.code(), Some(130), "{words:?}: {errors}");
                assert!(errors.contains("ossmark: interrupted; "), "{errors}");
                assert!(errors.lines().last().unwrap().contains(named), "{errors}");
                assert_eq!(children_in(dir.path()), 0, "{words:?}: a child is left");
            }
        }
    }
}

/// Processes that work in a directory.
fn children_in(dir: &Path) -> usize {
    let dir = dir.canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|p| fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd == dir))
        .count()
}
