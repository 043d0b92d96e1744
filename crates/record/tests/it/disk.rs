//! A record that there is no room for: the run goes on, and what was written is true.

use std::path::Path;
use std::process::Command;

use ossmark_record::{Error, JOURNAL, Record, SAMPLES, Settings, State, begin};

use crate::child::{self, LIMIT, row, rows};

const ALL: u64 = 200_000;

/// A child: more rows than there is room for.
#[test]
fn writes_more_than_fits() {
    let Some(dir) = child::dir() else { return };
    let settings = Settings {
        capacity: ALL as usize,
        ..Settings::default()
    };
    let (recorder, writer) = begin(&dir, settings, || None);
    (0..ALL).for_each(|request| recorder.row(row(request)));
    let outcome = writer.finish(LIMIT);
    let reason = outcome.reason.unwrap();
    assert!(reason.contains(JOURNAL), "{reason}");
    assert_eq!(outcome.rows + outcome.lost, ALL);
    assert!(
        outcome.lost > 0 && outcome.rows > 0,
        "{} lost",
        outcome.lost
    );
    let record = Record::open(&dir).unwrap();
    assert_eq!(record.rows, rows(outcome.rows));
    assert_ne!(record.state, State::GoingOn);
    if record.state == State::Ended {
        assert_eq!(
            (record.lost, record.reason),
            (outcome.lost, Some(reason.clone()))
        );
    }
    assert!(!Record::open(&dir).unwrap().is_complete());
    // The one or the other, and nothing of a try.
    assert_ne!(dir.join(SAMPLES).exists(), dir.join(JOURNAL).exists());
    let parts = std::fs::read_dir(&dir).unwrap().filter(|e| {
        e.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("part")
    });
    assert_eq!(parts.count(), 0);
    println!(
        "kept {} of {ALL}: {:?}: {reason}",
        outcome.rows, record.state
    );
}

#[test]
fn files_may_grow_no_further() {
    let tmp = tempfile::tempdir().unwrap();
    // 2 MiB a file, and no signal at it.
    let before = "trap '' XFSZ; ulimit -f 2048";
    let said = child::run("disk::writes_more_than_fits", tmp.path(), before);
    assert!(said.contains("File too large"), "{said}");
}

/// Of its own, so that nothing else is in want: as a user namespace allows.
#[test]
fn the_disk_is_full() {
    let tmp = tempfile::tempdir().unwrap();
    if !can_mount(tmp.path()) {
        println!("skipped: no user namespace in which to mount a tmpfs");
        return;
    }
    let script = r#"
        if [ -z "${INSIDE:-}" ]; then
            INSIDE=1 exec unshare --user --map-root-user --mount bash -c '
                mount -t tmpfs -o size=SIZE none "$OSSMARK_RECORD_TEST_DIR"
                exec "$0" --exact disk::writes_more_than_fits --nocapture --test-threads=1' "$0"
        fi"#;
    for size in ["1m", "4m", "8m"] {
        let said = child::run(
            "disk::writes_more_than_fits",
            tmp.path(),
            &script.replace("SIZE", size),
        );
        assert!(said.contains("No space left on device"), "{size}: {said}");
    }
}

fn can_mount(dir: &Path) -> bool {
    let tried = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "mount",
            "-t",
            "tmpfs",
            "none",
        ])
        .arg(dir)
        .output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn a_directory_that_is_read_only_is_a_reason() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (recorder, writer) = begin(&file, Settings::default(), || None);
    recorder.row(row(0));
    let outcome = writer.finish(LIMIT);
    assert_eq!(outcome.lost, 1);
    assert!(outcome.reason.unwrap().contains("Not a directory"));
    assert!(matches!(Record::open(&file), Err(Error::Io { .. })));
}
