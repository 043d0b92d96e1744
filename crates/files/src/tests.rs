//! Claims against each other, against what lies there, and against what a kill leaves.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::*;

/// Threads stand for processes: a lock belongs to the open file.
fn together<T: Send>(n: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(n);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n)
            .map(|at| {
                let (start, run) = (&start, &run);
                scope.spawn(move || {
                    start.wait();
                    run(at)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn of_two_that_begin_together_exactly_one_writes() {
    let tmp = tempfile::tempdir().unwrap();
    for round in 0..200 {
        let file = tmp.path().join(format!("file{round}"));
        if round % 2 == 1 {
            // A leftover to fight about as well.
            fs::write(tmp.path().join(format!(".file{round}.ossmark-part")), "x").unwrap();
        }
        let written = together(2, |at| {
            let mut claim = Claim::new(&file, IfExists::Refuse)?;
            claim.write(format!("{at}").as_bytes())
        });
        let won: Vec<_> = (0..2).filter(|at| written[*at].is_ok()).collect();
        assert_eq!(won.len(), 1, "{written:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), won[0].to_string());
        let lost = written[1 - won[0]].as_ref().unwrap_err().kind();
        assert!(
            matches!(lost, ErrorKind::ResourceBusy | ErrorKind::AlreadyExists),
            "{lost}"
        );
    }
    assert!(names(tmp.path()).iter().all(|n| n.starts_with("file")));
}

#[test]
fn of_two_that_begin_together_exactly_one_has_the_directory() {
    let tmp = tempfile::tempdir().unwrap();
    for round in 0..200 {
        let dir = tmp.path().join(format!("dir{round}"));
        let inside = AtomicU32::new(0);
        let claimed = together(2, |_| {
            let claim = Directory::claim(&dir)?;
            inside.fetch_add(1, SeqCst);
            fs::write(dir.join("plan"), "").unwrap();
            Ok::<_, std::io::Error>(claim)
        });
        let won = claimed.iter().filter(|c| c.is_ok()).count();
        assert_eq!((won, inside.into_inner()), (1, 1), "{claimed:?}");
    }
}

/// As `--force` does it, with a third that comes in between.
#[test]
fn making_room_gives_the_name_to_one() {
    let tmp = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let dir = tmp.path().join(format!("dir{round}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("old"), "").unwrap();
        let claimed = together(3, |at| {
            let mut claim = Directory::claim(&dir)?;
            if dir.join("old").exists() {
                claim = claim.make_room()?.0;
            }
            fs::write(dir.join(format!("new{at}")), "").unwrap();
            Ok::<_, std::io::Error>(claim)
        });
        let won: Vec<_> = (0..3).filter(|at| claimed[*at].is_ok()).collect();
        assert_eq!(won.len(), 1, "{claimed:?}");
        assert_eq!(names(&dir), [format!("new{}", won[0])]);
        let aside = tmp.path().join(format!("dir{round}.old.1"));
        assert_eq!(names(&aside), ["old"]);
    }
}

/// What somebody else, who knows no locks, has put there since the claim is not lost either.
#[test]
fn what_appears_after_the_claim_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let (file, dir) = (tmp.path().join("file"), tmp.path().join("dir"));
    let mut claim = Claim::new(&file, IfExists::Refuse).unwrap();
    let tree = StagedDirectory::claim(&dir, IfExists::Refuse).unwrap();
    fs::write(&file, "theirs").unwrap();
    fs::create_dir(&dir).unwrap();
    let error = claim.write(b"ours").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(tree.publish().unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"theirs");
    drop(claim);
    assert_eq!(names(tmp.path()), ["dir", "file"]);
}

/// What a process that is about to end was making is gone, and what is done is not.
#[test]
fn what_is_not_done_is_abandoned() {
    let tmp = tempfile::tempdir().unwrap();
    let half = Claim::new(&tmp.path().join("half"), IfExists::Refuse).unwrap();
    let tree = StagedDirectory::claim(&tmp.path().join("tree"), IfExists::Refuse).unwrap();
    let mut whole = Claim::new(&tmp.path().join("whole"), IfExists::Refuse).unwrap();
    whole.write(b"1").unwrap();
    assert_eq!(names(tmp.path()).len(), 3);
    // The process ends without dropping anything; other tests' parts are none of this one's business, so only its own.
    part::abandon_below(tmp.path());
    assert_eq!(names(tmp.path()), ["whole"]);
    drop((half, tree));
    assert_eq!(names(tmp.path()), ["whole"]);
}

#[test]
fn a_tree_appears_whole_and_a_leftover_of_one_is_cleaned_away() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("above/tree");
    fs::create_dir_all(tmp.path().join("above/.tree.ossmark-part/half/of/it")).unwrap();
    let tree = StagedDirectory::claim(&path, IfExists::Refuse).unwrap();
    let busy = StagedDirectory::claim(&path, IfExists::Refuse).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::ResourceBusy);
    assert!(names(tree.inside()).is_empty() && !path.exists());
    fs::write(tree.inside().join("a"), "1").unwrap();
    tree.publish().unwrap();
    assert_eq!(names(&tmp.path().join("above")), ["tree"]);
    let there = StagedDirectory::claim(&path, IfExists::Refuse).unwrap_err();
    assert_eq!(there.kind(), ErrorKind::AlreadyExists);
    drop(StagedDirectory::claim(&path, IfExists::MoveAside).unwrap());
    assert_eq!(names(&tmp.path().join("above")), ["tree"]);
    let again = StagedDirectory::claim(&path, IfExists::MoveAside).unwrap();
    assert_eq!(
        again.publish().unwrap(),
        Some(path.with_file_name("tree.old.1"))
    );
}

#[test]
fn what_fails_leaves_nothing_and_loses_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("file");
    let full = || std::io::Error::from(ErrorKind::StorageFull);
    for earlier in [IfExists::Refuse, IfExists::MoveAside, IfExists::Replace] {
        let mut claim = Claim::new(&path, earlier).unwrap();
        let failed = claim.write_with(
            |e| e,
            |file| {
                use std::io::Write;
                file.write_all(b"half").and(Err::<(), _>(full()))
            },
        );
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::StorageFull);
        drop(claim);
        assert!(names(tmp.path()).is_empty());
    }
    fs::write(&path, "old").unwrap();
    drop(Claim::new(&path, IfExists::MoveAside).unwrap());
    assert_eq!(names(tmp.path()), ["file"]);
    let mut claim = Claim::new(&path, IfExists::MoveAside).unwrap();
    let aside = claim.write(b"new").unwrap().unwrap();
    assert_eq!(fs::read(aside).unwrap(), b"old");
    // Its own is replaced.
    assert_eq!(claim.write(b"newer").unwrap(), None);
    assert_eq!(fs::read(&path).unwrap(), b"newer");
    assert_eq!(names(tmp.path()), ["file", "file.old.1"]);
}

/// A device. Were files broken, this must not spoil the machine: whoever may move its own gets another.
fn device(dir: &Path) -> std::path::PathBuf {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let own = dir.join("null");
    let mode = Mode::RUSR | Mode::WUSR;
    match mknodat(CWD, &own, FileType::CharacterDevice, mode, makedev(1, 3)) {
        Ok(()) => own,
        Err(_) => "/dev/null".into(),
    }
}

#[test]
fn only_regular_files_are_moved_or_replaced() {
    let (tmp, around) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let null = &device(around.path());
    for earlier in [IfExists::Refuse, IfExists::MoveAside, IfExists::Replace] {
        assert_eq!(
            Claim::new(null, earlier).unwrap().write(b"x").unwrap(),
            None
        );
    }
    assert!(fs::metadata(null).unwrap().file_type().is_char_device());
    assert!(move_aside(null).is_err());
    assert!(!null.with_file_name(".null.ossmark-part").exists());

    let pipe = tmp.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let error = Claim::new(&pipe, IfExists::MoveAside).unwrap_err();
    assert!(error.to_string().contains("nobody reads"), "{error}");
    assert!(move_aside(&pipe).is_err());
    let error = Claim::new(tmp.path(), IfExists::MoveAside).unwrap_err();
    assert!(error.to_string().contains("a directory"), "{error}");
    assert_eq!(names(tmp.path()), ["pipe"]);
}

#[test]
fn standard_output_has_many_names() {
    let tmp = tempfile::tempdir().unwrap();
    let link = tmp.path().join("link");
    std::os::unix::fs::symlink("/dev/stdout", &link).unwrap();
    let link = link.to_str().unwrap();
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", link] {
        assert!(is_stdout(Path::new(name)), "{name}");
    }
    for name in [
        "./-",
        "/dev/stderr",
        "/dev/fd/2",
        "stdout",
        "/dev/null",
        "fd/1",
    ] {
        assert!(!is_stdout(Path::new(name)), "{name}");
    }
}
