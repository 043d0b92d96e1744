//! Provenance for `run_plan.json`: which commit the binary was built from. LoadGen is built by its own package.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "cargo reads it")]

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/logs/HEAD");
    println!("cargo::rerun-if-changed=src");
    println!(
        "cargo::rustc-env=OSSMARK_GIT_REV={}",
        git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into())
    );
    let dirty =
        git(&["status", "--porcelain", "--untracked-files=no"]).map(|changes| !changes.is_empty());
    println!(
        "cargo::rustc-env=OSSMARK_GIT_DIRTY={}",
        dirty.map_or("unknown".into(), |d| d.to_string())
    );
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(args)
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
