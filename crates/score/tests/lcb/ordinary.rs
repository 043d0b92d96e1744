//! The same tests once more as a user without privileges, when the superuser runs them.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::Command,
};

use libtest_mimic::{Failed, Trial};

use crate::support::copy_program;

/// Nobody.
const USER: u32 = 65534;

pub(crate) fn trials() -> Vec<Trial> {
    if !nix::unistd::geteuid().is_root() {
        return Vec::new();
    }
    match python() {
        Some(python) => vec![Trial::test("ordinary_user_has_the_same", move || {
            again(&python)
        })],
        None => {
            eprintln!("SKIPPED: there is no Python that user {USER} may run");
            let skipped = Trial::test("ordinary_user_has_the_same", || Ok(()));
            vec![skipped.with_ignored_flag(true)]
        }
    }
}

/// An interpreter that the user may run; the superuser's own is often below /root.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("OSSMARK_TEST_PYTHON").map(PathBuf::from);
    let others = ["python3", "/usr/bin/python3", "/usr/local/bin/python3"];
    named
        .into_iter()
        .chain(others.map(PathBuf::from))
        .find(|python| {
            let recent = "import sys, ctypes, venv; sys.exit(sys.version_info < (3, 10))";
            let mut command = Command::new(python);
            command
                .args(["-I", "-c", recent])
                .uid(USER)
                .gid(USER)
                .current_dir("/");
            command.output().is_ok_and(|output| output.status.success())
        })
}

fn again(python: &PathBuf) -> Result<(), Failed> {
    let place = tempfile::tempdir()?;
    let directory = |name: &str, mode: u32| -> std::io::Result<PathBuf> {
        let path = place.path().join(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path)
    };
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    let (scratch, fixtures) = (directory("tmp", 0o777)?, directory("fixtures", 0o755)?);
    let this = place.path().join("lcb");
    copy_program(&std::env::current_exe()?, &this)?;
    for name in ["problems.jsonl", "verdicts.jsonl"] {
        fs::copy(crate::support::fixture(name), fixtures.join(name))?;
    }
    let output = Command::new(&this)
        .args(
            std::env::args_os()
                .skip(1)
                .filter(|a| !a.to_string_lossy().contains("ordinary")),
        )
        .env("TMPDIR", scratch)
        .env("OSSMARK_TEST_FIXTURES", fixtures)
        .env("OSSMARK_TEST_PYTHON", python)
        .uid(USER)
        .gid(USER)
        .current_dir("/")
        .output()?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    eprintln!("{err}");
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}\n{out}\n{err}", output.status).into()),
    }
}
