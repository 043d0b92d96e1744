//! What needs a process of its own: an environment, a way out that drops nothing.

use std::process::{Command, Output};

use ossmark_telemetry::{Telemetry, end_commands};

use crate::fake::nothing;
use crate::sources::until;

fn child(test: &str) -> Output {
    let name = format!("child::{test}");
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &name, "--nocapture"])
        .env("OSSMARK_API_KEY", "555")
        .output()
        .unwrap()
}

fn measured(command: &str) -> (Telemetry, f64) {
    let settings = ossmark_telemetry::Settings {
        command: Some(command.parse().unwrap()),
        ..nothing()
    };
    let telemetry = Telemetry::start(&settings).unwrap();
    let watts = until(|| telemetry.latest().power_w);
    (telemetry, watts)
}

#[test]
fn the_command_does_not_get_the_key() {
    let output = child("without_the_key");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[test]
#[ignore = "a child of the_command_does_not_get_the_key"]
fn without_the_key() {
    assert_eq!(std::env::var("OSSMARK_API_KEY").unwrap(), "555");
    let (_telemetry, watts) = measured("sh -c 'echo ${OSSMARK_API_KEY:-7}; sleep 1000'");
    assert_eq!(watts, 7.0);
}

#[test]
fn a_way_out_that_drops_nothing_ends_the_command_too() {
    let output = child("without_a_drop");
    let text = String::from_utf8_lossy(&output.stdout);
    let pid: u32 = text
        .rsplit_once("pid ")
        .unwrap()
        .1
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with('Z'));
        state.unwrap_or(true).then_some(())
    });
}

#[test]
#[ignore = "a child of a_way_out_that_drops_nothing_ends_the_command_too"]
#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn without_a_drop() {
    let (_telemetry, pid) = measured("sh -c 'trap \"\" TERM; echo $$; sleep 1000'");
    println!("pid {pid}");
    end_commands();
    std::process::exit(0);
}
