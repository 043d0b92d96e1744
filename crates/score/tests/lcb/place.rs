//! Wherever the interpreter lies, the same layers are active and a program may do the same.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use libtest_mimic::{Failed, Trial};
use ossmark_score::lcb::{Interpreter, Layers, Settings, probe};

use crate::{
    hostile::kept_out,
    support::{copy_program, grade, problem, problem_file, settings},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test(
            "place_of_a_virtual_environment_costs_no_layer",
            environments,
        ),
        Trial::test("place_of_an_interpreter_costs_no_layer", interpreters),
        Trial::test("place_that_is_all_of_tmp_costs_no_layer", all_of_tmp),
    ]
}

fn base() -> Result<(Interpreter, Layers), Failed> {
    Ok(probe(&settings())?)
}

/// The layers are those of the interpreter that it is made of; files can be written, and not the interpreter's.
fn holds(python: &Path, wanted: &Layers) -> Result<(), Failed> {
    let settings = Settings {
        python: Some(python.to_owned()),
        timeout_s: 20,
        workers: 1,
        ..settings()
    };
    let (found, layers) = probe(&settings)?;
    assert_eq!(&layers, wanted, "{}", python.display());
    let code = r#"
import os, sys, io
def f(x):
    with io.open('data', 'w') as out: out.write('5')
    handle = os.open('/tmp/scratch' if OWN_ROOT else 'scratch', os.O_CREAT | os.O_RDWR)
    os.write(handle, b'7')
    os.close(os.open('scratch', os.O_CREAT | os.O_RDWR))
    import unittest.mock, json
    return [io.open('data').read(), sorted(os.listdir('.')), sys.executable]
"#;
    let code = code.replace("OWN_ROOT", if layers.own_root { "True" } else { "False" });
    let answer = serde_json::json!(["5", ["data", "scratch"], found.executable]).to_string();
    let (problems, _file) = problem_file(&[problem("f", Some("f"), &[("1", &answer)])]);
    let codes = [("f", code.as_str()), ("f", code.as_str())];
    let (verdicts, _) = grade(&problems, &codes, &settings);
    assert!(verdicts.iter().all(|v| v.passed), "{verdicts:?}");
    // Directories on the way to it are the program's own; what it finds there of the interpreter is the machine's.
    let directory = python.parent().expect("a directory");
    let names = || -> std::io::Result<Vec<_>> {
        let mut names: Vec<_> = fs::read_dir(directory)?
            .map(|e| e.map(|e| e.file_name()))
            .collect::<Result<_, _>>()?;
        names.sort();
        Ok(names)
    };
    let before = names()?;
    let message = kept_out(
        &settings,
        r#"
import os, sys, posix
done = []
def attempt(act):
    try: act(); return True
    except OSError: return False
for place in (sys.prefix, os.path.dirname(sys.executable)):
    for act in (lambda: open(place + '/x', 'w'), lambda: posix.mkdir(place + '/y'), lambda: posix.unlink(sys.executable)): attempt(act)
library, program = os.path.dirname(os.__file__), os.path.realpath(sys.executable)
for act in (lambda: open(library + '/x', 'w'), lambda: posix.mkdir(library + '/y'),
            lambda: open(os.__file__, 'r+b'), lambda: open(program, 'r+b'),
            lambda: posix.chmod(library, os.stat(library).st_mode & 0o7777), lambda: posix.utime(os.__file__, None)):
    if attempt(act): done.append(1)
if done: print('SECRET')
else: raise Exception('kept out')
"#,
    );
    assert_eq!(names()?, before);
    message
}

fn environment(base: &Interpreter, place: &Path, copies: bool) -> Result<PathBuf, Failed> {
    let made = Command::new(&base.executable)
        .args(["-m", "venv", "--without-pip"])
        .args(copies.then_some("--copies"))
        .arg(place)
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    Ok(place.join("bin/python"))
}

fn environments() -> Result<(), Failed> {
    let (base, layers) = base()?;
    // Not where TMPDIR says: the place below /tmp is the point.
    let tmp = tempfile::tempdir_in("/tmp")?;
    for copies in [false, true] {
        let place = tmp.path().join(format!("venv {copies}"));
        let python = environment(&base, &place, copies)?;
        holds(&python, &layers)?;
        // Through a link to it, and through a link on the way to it.
        let link = tmp.path().join(format!("link{copies}"));
        symlink(&place, &link)?;
        holds(&link.join("bin/python"), &layers)?;
        let direct = tmp.path().join(format!("python{copies}"));
        symlink(&python, &direct)?;
        assert!(
            probe(&Settings {
                python: Some(direct),
                ..settings()
            })?
            .1
            .confined()
        );
    }
    for elsewhere in ["/var/tmp", "/dev/shm", "/opt", "/home", "/srv", "/mnt"] {
        match tempfile::tempdir_in(elsewhere) {
            Ok(there) => holds(
                &environment(&base, &there.path().join("v"), false)?,
                &layers,
            )?,
            Err(e) => eprintln!("SKIPPED {elsewhere}: {e}"),
        }
    }
    Ok(())
}

/// An installation of its own: the program copied, its library behind a link, as builds in odd places have it.
fn interpreters() -> Result<(), Failed> {
    let (base, layers) = base()?;
    let tmp = tempfile::tempdir_in("/tmp")?;
    let python = installation(&base, tmp.path())?;
    holds(&python, &layers)
}

fn installation(base: &Interpreter, place: &Path) -> Result<PathBuf, Failed> {
    let ask = "import os; print(os.path.dirname(os.__file__))";
    let found = Command::new(&base.executable)
        .args(["-I", "-c", ask])
        .output()?;
    let library = PathBuf::from(String::from_utf8(found.stdout)?.trim());
    fs::create_dir_all(place.join("bin"))?;
    fs::create_dir_all(place.join("lib"))?;
    let python = place.join("bin/python3");
    copy_program(&fs::canonicalize(&base.executable)?, &python)?;
    symlink(
        &library,
        place.join("lib").join(library.file_name().expect("a name")),
    )?;
    Ok(python)
}

/// An interpreter whose prefix is `/tmp` itself does not open all of `/tmp` to candidates.
fn all_of_tmp() -> Result<(), Failed> {
    let (base, layers) = base()?;
    let inside = tempfile::tempdir_in("/tmp")?;
    let python = tempfile::Builder::new()
        .prefix("python3-")
        .tempfile_in("/tmp")?
        .into_temp_path();
    copy_program(&fs::canonicalize(&base.executable)?, &python)?;
    fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::write(inside.path().join("secret"), "x")?;
    let settings = Settings {
        python: Some(python.to_path_buf()),
        timeout_s: 20,
        ..settings()
    };
    assert_eq!(probe(&settings)?.1, layers);
    let secret = inside.path().join("secret");
    kept_out(
        &settings,
        &format!(
            "import os\ntry: open({secret:?}).read(); print('SECRET')\nexcept OSError: raise Exception('kept out')\n"
        ),
    )
}
