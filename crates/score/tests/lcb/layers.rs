//! Sets of layers: which are accepted, what is said of those that are lost, and that verdicts do not depend on them.

use libtest_mimic::{Failed, Trial};
use ossmark_score::{
    Error,
    lcb::{Candidate, Layers, Problems, probe, run},
};

use crate::{
    deny::without,
    golden,
    support::{grade, problem, problem_file},
};

/// Ways to lose layers, after each of which something must confine candidates (or the machine offers nothing at all).
pub(crate) const ACCEPTED: [&str; 6] = [
    "",
    "user_namespace",
    "namespaces",
    "mount",
    "pivot_root",
    "landlock",
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("layers_without_confinement_are_refused", refused),
        Trial::test("layers_that_are_lost_say_why", reasons),
        Trial::test("layers_without_a_fresh_file_system_are_an_error", no_fresh),
        Trial::test("layers_without_what_every_worker_needs_are_an_error", needs),
    ];
    // All of "" is golden.rs itself.
    for words in &ACCEPTED[1..] {
        let name = format!("layers_golden_verdicts_without_{words}");
        trials.push(Trial::test(name, move || golden_without(words)));
    }
    for words in ACCEPTED {
        let name = format!("layers_files_may_be_written_without_{words}");
        trials.push(Trial::test(name, move || files(words)));
    }
    trials
}

/// The layers that are left; none, said aloud, where this machine has nothing to take their place.
pub(crate) fn left(words: &str) -> Option<Layers> {
    let (_, layers) = probe(&without(words)).expect("a sandbox");
    if !layers.confined() {
        eprintln!(
            "SKIPPED without {words}: this machine has only {}",
            layers.active()
        );
        return None;
    }
    Some(layers)
}

fn golden_without(words: &str) -> Result<(), Failed> {
    let Some(layers) = left(words) else {
        return Ok(());
    };
    println!("{}", layers.active());
    golden::verdicts(&without(words))
}

/// What a program may do in its own directory, under each set alike.
const FILES: &str = r#"
import os, io, pathlib, sqlite3, time
def f(x):
    with io.open('data.txt', 'w') as out: out.write('one\ntwo\n')
    with io.open('data.txt', 'a') as out: out.write('three\n')
    os.makedirs('a/b')
    pathlib.Path('a/b/c').write_bytes(b'x' * 1000)
    os.symlink('data.txt', 'link')
    os.mkdir('a/sealed', 0)
    time.sleep(0.3)  # time for whoever measures the directory, who need not see into that one
    with io.open('link') as file: lines = file.read().split()
    handle = os.open('scratch', os.O_CREAT | os.O_RDWR | os.O_TRUNC)
    os.write(handle, b'7')
    os.ftruncate(handle, 3)
    try: io.open('absent')
    except FileNotFoundError: lines.append('absent')
    return lines + sorted(os.listdir('.')) + [os.fstat(handle).st_size, os.path.getsize('a/b/c')]
"#;
const FILES_ANSWER: &str =
    r#"["one","two","three","absent","a","data.txt","link","scratch",3,1000]"#;

/// Signals to itself, and what it may ask of its descriptors.
const SELF: &str = r#"
import signal, threading, fcntl, os, socket
seen = []
def f(x):
    signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    signal.raise_signal(signal.SIGUSR1)
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    one, other = socket.socketpair()
    one.setblocking(False)
    other.sendall(b'x')
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    fcntl.fcntl(reader, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return [len(seen), one.recv(1).decode(), os.isatty(0), fcntl.fcntl(reader, fcntl.F_GETFD), os.get_blocking(reader)]
"#;

fn files(words: &str) -> Result<(), Failed> {
    let Some(_) = left(words) else {
        return Ok(());
    };
    let (problems, _file) = problem_file(&[
        problem("files", Some("f"), &[("1", FILES_ANSWER)]),
        problem("self", Some("f"), &[("1", r#"[2,"x",false,1,false]"#)]),
    ]);
    let mut settings = without(words);
    settings.workers = 1;
    settings.timeout_s = 20;
    // Twice: the second finds nothing of the first.
    let codes = [("files", FILES), ("files", FILES), ("self", SELF)];
    let (verdicts, report) = grade(&problems, &codes, &settings);
    assert!(verdicts.iter().all(|v| v.passed), "{report:?} {verdicts:?}");
    Ok(())
}

fn candidate() -> (Problems, tempfile::NamedTempFile, Candidate) {
    let (problems, file) = problem_file(&[problem("honest", None, &[("abc\n", "abc")])]);
    let candidate = Candidate {
        key: 0,
        question_id: "honest".into(),
        code: "print(input())".into(),
    };
    (problems, file, candidate)
}

fn refused() -> Result<(), Failed> {
    for words in [
        "namespaces+landlock",
        "user_namespace+namespaces+landlock",
        "mount+landlock",
        "pivot_root+landlock",
        "seccomp",
        "seccomp+landlock",
        "seccomp+namespaces",
    ] {
        let (problems, _file, candidate) = candidate();
        let mut settings = without(words);
        let mut verdicts = 0;
        let result = run(&problems, [candidate.clone()], &settings, &mut |_| {
            verdicts += 1;
        });
        let Err(Error::Unconfined { inactive }) = result else {
            return Err(format!("without {words}: {result:?}").into());
        };
        assert!(inactive.contains("ermitted"), "no reason: {inactive}");
        assert_eq!(verdicts, 0);
        // Whoever allows it gets the right verdict, and the report says on what.
        settings.allow_unconfined = true;
        let (verdicts, report) = grade(&problems, &[("honest", &candidate.code)], &settings);
        assert!(verdicts[0].passed, "without {words}: {verdicts:?}");
        assert!(!report.layers.confined(), "{report:?}");
    }
    Ok(())
}

/// A reason with the call that failed for whatever is lost, however it was lost; none for what is active.
fn reasons() -> Result<(), Failed> {
    for words in ACCEPTED.iter().chain(&["seccomp", "namespaces+landlock"]) {
        let (_, layers) = probe(&without(words))?;
        for (name, active) in layers.list() {
            let why = layers.lost.get(name);
            assert_eq!(why.is_none(), active, "without {words}: {name}: {why:?}");
        }
    }
    let (_, layers) = probe(&without("mount"))?;
    if layers.pid_namespace {
        let why = &layers.lost["own root"];
        assert!(why.contains("mount") && why.contains("ermitted"), "{why}");
    }
    Ok(())
}

/// A root of its own in which candidates could not have fresh files would leave them without any.
fn no_fresh() -> Result<(), Failed> {
    let settings = without("pid_namespaces");
    match probe(&settings) {
        Err(Error::Sandbox { what }) => {
            // And what to do, which is not what is said where namespaces are forbidden.
            let mends = what.contains("allow clone with CLONE_NEWPID");
            assert!(what.contains("for each program") && mends, "{what}");
            Ok(())
        }
        Ok((_, layers)) if !layers.own_root => {
            eprintln!("SKIPPED: this machine has no own root to begin with");
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    }
}

/// No program may fail because the worker fails: it says so before there is one.
fn needs() -> Result<(), Failed> {
    for (words, call) in [("pidfd", "pidfd_open"), ("capset", "capset")] {
        match probe(&without(words)) {
            Err(Error::Sandbox { what }) => assert!(what.contains(call), "{what}"),
            other => return Err(format!("without {words}: {other:?}").into()),
        }
    }
    Ok(())
}
