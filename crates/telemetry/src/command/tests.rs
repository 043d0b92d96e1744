use super::*;

fn source(command: &str) -> Command {
    let command = command.parse().unwrap();
    let mut source = Command::new(command, Arc::default(), Duration::from_millis(1));
    // Only for the programs here that print at once, or never.
    source.limit = Duration::from_secs(60);
    source.last = Duration::from_secs(60);
    source
}

/// The next reading; a program that has ended without one being left is started again.
fn watts(source: &mut Command) -> f64 {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        if let [reading] = &source.read().unwrap().readings[..] {
            return reading.figures.power_w.unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no reading within a minute");
}

fn fault(source: &mut Command) -> String {
    match source.read() {
        Err(Trouble::Fault(what)) => what,
        other => panic!("{other:?}"),
    }
}

/// Whether there is such a process, and more of it than what nobody has reaped.
fn lives(pid: f64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn dies(pid: f64) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while lives(pid) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    !lives(pid)
}

#[test]
fn one_that_ends_is_started_again() {
    let tmp = tempfile::tempdir().unwrap();
    let log = tmp.path().join("starts");
    let mut source = source(&format!(
        "sh -c 'echo >> {}; echo \" 12.5 W\"'",
        log.display()
    ));
    for _ in 0..3 {
        assert_eq!(watts(&mut source), 12.5);
    }
    drop(source);
    assert!(std::fs::read_to_string(&log).unwrap().len() >= 3);
}

#[test]
fn one_that_goes_on_is_ended_with_its_children() {
    let mut source = source("sh -c 'sleep 1000 & echo $!; wait'");
    let child = watts(&mut source);
    let first = f64::from(source.running.as_ref().unwrap().group.child.id());
    assert!(lives(child) && lives(first));
    drop(source);
    assert!(dies(child) && dies(first));
}

#[test]
fn one_that_prints_again_and_again_is_read_as_it_prints() {
    let mut source =
        source("sh -c 'for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.1; done; sleep 1000'");
    let mut before = 0.0;
    while before < 9.0 {
        let next = watts(&mut source);
        assert!(next > before, "{next} after {before}");
        before = next;
    }
}

#[test]
fn children_that_it_leaves_are_ended_though_they_hold_its_output() {
    let mut source = source("sh -c 'sleep 1000 & echo $!'");
    let child = watts(&mut source);
    // It is seen to have ended at this look or at the next.
    while source.running.is_some() {
        source.read().unwrap();
    }
    assert!(dies(child));
}

#[test]
fn one_that_ignores_sigterm_is_killed() {
    let mut source = source("sh -c 'trap \"\" TERM HUP INT; echo $$; while :; do sleep 1; done'");
    let pid = watts(&mut source);
    drop(source);
    assert!(dies(pid));
}

#[test]
fn one_that_hangs_is_ended_after_the_limit() {
    let mut source = source("sleep 1000");
    source.limit = Duration::from_millis(200);
    assert_eq!(fault(&mut source), "printed no line within 0.2 s");
    assert!(source.running.is_none());
}

#[test]
fn at_the_end_it_is_waited_for_a_little() {
    let mut hanging = source("sleep 1000");
    hanging.last = Duration::from_millis(200);
    hanging.stop.ring();
    let what = fault(&mut hanging);
    assert!(what.starts_with("printed no line in the "), "{what}");
    assert!(!hanging.has_last_word());

    // A last line counts however soon it comes after the one before.
    let mut source = source("sh -c 'echo 1; sleep 0.3; echo 2; sleep 1000'");
    source.interval = Duration::from_secs(1000);
    assert_eq!(watts(&mut source), 1.0);
    source.stop.ring();
    assert_eq!(watts(&mut source), 2.0);
}

#[test]
fn nonsense_is_a_fault_and_shown_escaped() {
    for (command, found) in [
        ("echo watts", "printed watts, expected a number of watts"),
        ("printf '\\033[2J1\\n'", "printed \\u{1b}[2J1, expected"),
        ("printf '\\377\\n'", "printed bytes that are no text"),
        ("echo 1 2", "printed 1 2, expected"),
        ("echo 0x10", "printed 0x10, expected"),
    ] {
        let what = fault(&mut source(command));
        assert!(what.starts_with(found), "{command}: {what}");
    }
}

#[test]
fn one_that_prints_without_end_is_ended_early() {
    let what = fault_within_a_minute("yes 100");
    assert!(what.contains("4 KiB a second"), "{what}");
    let what = fault_within_a_minute("head -c 1000000000 /dev/zero");
    assert!(what.contains("a line of more than 256 bytes"), "{what}");
}

fn fault_within_a_minute(command: &str) -> String {
    let mut source = source(command);
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        match source.read() {
            Ok(_) => std::thread::sleep(TICK),
            Err(Trouble::Fault(what)) => {
                assert!(source.running.is_none());
                return what;
            }
            Err(Trouble::Absent(what)) => panic!("{what}"),
        }
    }
    panic!("no fault");
}

#[test]
fn one_that_complains_at_length_is_still_read() {
    // More than a pipe holds: it prints only once somebody has read that.
    let mut long = source("sh -c 'head -c 100000 /dev/zero >&2; echo 5; sleep 1000'");
    assert_eq!(watts(&mut long), 5.0);
    let mut endless = source("sh -c 'yes oh >&2 & echo 5; wait'");
    assert_eq!(watts(&mut endless), 5.0);
}

#[test]
fn one_that_ends_without_a_reading_says_what_it_said() {
    for (command, found) in [
        ("true", "ended without printing a line"),
        (
            "sh -c 'echo oh no >&2'",
            "ended without printing a line: oh no",
        ),
        (
            "sh -c 'echo oh no >&2; exit 3'",
            "ended with exit status: 3: oh no",
        ),
        ("sh -c 'kill -9 $$'", "ended with signal: 9 (SIGKILL)"),
    ] {
        assert_eq!(fault(&mut source(command)), found, "{command}");
    }
}

#[test]
fn a_command_that_cannot_be_is_refused_without_its_arguments() {
    for (text, found) in [
        ("", "found no program"),
        ("  ", "found no program"),
        ("ipmi 'secret", "quote that is not closed"),
        ("echo secret\\", "quote that is not closed"),
        ("echo \0", "NUL"),
        ("/no/such/program secret", "found no such file"),
        ("/etc/passwd secret", "found no executable file"),
        ("/tmp secret", "found no executable file"),
        ("no-such-program-anywhere secret", "on the PATH"),
    ] {
        let error = text.parse::<PowerCommand>().unwrap_err().to_string();
        assert!(
            error.contains(found) && error.contains("--power-command"),
            "{text}: {error}"
        );
        assert!(
            error.contains("expected") && !error.contains("secret"),
            "{text}: {error}"
        );
    }
    let command: PowerCommand = "echo --password secret".parse().unwrap();
    assert_eq!(
        (
            command.to_string().as_str(),
            format!("{command:?}").as_str()
        ),
        ("--power-command echo", "PowerCommand(echo)")
    );
}
