//! This binary again, as a process that may be killed or kept short of something.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ossmark_record::{Counters, End, Row};

/// Generous: no test is about how fast a machine is.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// What `run` may count on to be there only in the child.
const DIR: &str = "OSSMARK_RECORD_TEST_DIR";

/// The directory that a child test was given; `None` in the parent, where it has nothing to do.
pub(crate) fn dir() -> Option<std::path::PathBuf> {
    std::env::var_os(DIR).map(Into::into)
}

/// Runs `test` of this binary for `dir`, in a shell after `before`.
pub(crate) fn start(test: &str, dir: &Path, before: &str) -> Child {
    Command::new("bash")
        .arg("-c")
        .arg(format!(
            "{before}\nexec \"$0\" --exact {test} --nocapture --test-threads=1"
        ))
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs `test` to its end; panics when it fails. Returns what it printed.
pub(crate) fn run(test: &str, dir: &Path, before: &str) -> String {
    let child = start(test, dir, before);
    let pid = child.id();
    let (send, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(send.send(child.wait_with_output())));
    let Ok(output) = ended.recv_timeout(2 * LIMIT) else {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        panic!("{test} hangs");
    };
    let output = output.unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{test}: {:?}\n{out}\n{err}",
        output.status
    );
    out
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A row of its own for each request.
pub(crate) fn row(request: u64) -> Row {
    let begun = request as i64 * 1_000_000;
    Row {
        request,
        sample_index: request as u32 % 6396,
        prompt_tokens: 100 + request as u32 % 7,
        output_tokens: 2 + request as u32 % 50,
        scheduled_ns: (!request.is_multiple_of(3)).then_some(begun),
        issued_ns: Some(begun + 5000),
        first_token_ns: (!request.is_multiple_of(5)).then_some(begun + 90_000_000),
        completed_ns: Some(begun + 700_000_000 + request as i64 % 1000),
        end: [End::Stop, End::Length, End::Failed, End::Cancelled][request as usize % 4],
        engine: request as u16 % 8,
    }
}

pub(crate) fn rows(count: u64) -> Vec<Row> {
    (0..count).map(row).collect()
}

/// Counters of a test that began when this was called.
pub(crate) fn counters() -> impl FnMut() -> Option<Counters> + Send {
    let begun = Instant::now();
    move || {
        Some(Counters {
            t: begun.elapsed(),
            issued: 9,
            completed: 4,
            steps: Some(3),
            ..Counters::default()
        })
    }
}
