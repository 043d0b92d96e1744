//! Runs this file's tests on the emulator: the kernels' text compiled as C++ behind the driver's own functions
//! (`kernels/emulator`), in a child process that loads it in the place of libcuda.so. It shows that indices, barriers and
//! arithmetic are right, and every line of the host's side; nothing about speed or the hardware.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What `kernels/emulator/kernels.cpp` takes in: every kernel's file, and `TAKE(name, threads)` for every kernel.
fn all_kernels(kernels: &Path) -> String {
    let entries = std::fs::read_dir(kernels).unwrap();
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "cu"));
    files.sort();
    let (mut includes, mut names) = (String::new(), String::new());
    for path in files {
        writeln!(includes, "#include {path:?}").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (name, threads) in crate::pairing::kernels_of(&text) {
            write!(names, " TAKE({name}, {threads})").unwrap();
        }
    }
    format!("{includes}#define ALL_KERNELS{names}\n")
}

/// A folder with the emulator under the libraries' names, built once.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulator");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("all_kernels.h"), all_kernels(&kernels)).unwrap();
        let library = folder.join("libcuda.so");
        let sources = [
            "asynchronous.cpp",
            "driver.cpp",
            "fibers.cpp",
            "kernels.cpp",
        ]
        .map(|f| kernels.join("emulator").join(f));
        let output = Command::new("c++")
            .args([
                "-std=c++17",
                "-O2",
                "-g1",
                "-fPIC",
                "-shared",
                "-Wall",
                "-Wno-unknown-pragmas",
                "-I",
            ])
            .arg(&kernels)
            .arg("-I")
            .arg(&folder)
            .args(&sources)
            .arg("-o")
            .arg(&library)
            .output()
            .expect("a C++ compiler, as LoadGen needs one");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::copy(&library, folder.join("libnvrtc.so")).unwrap();
        folder
    })
}

pub(crate) fn child(args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(args)
        .env("LD_LIBRARY_PATH", folder())
        .env("OSSMARK_REQUIRE_GPU", "1")
        .env("OSSMARK_ON_EMULATOR", "1")
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

pub(crate) fn is_child() -> bool {
    std::env::var_os("OSSMARK_ON_EMULATOR").is_some()
}

// The emulator computes one launch at a time, whatever asks for it: several processes use several processors.

#[test]
fn kernels_on_the_emulator() {
    on_the_emulator("cuda::");
}

#[test]
fn plain_kernels_on_the_emulator() {
    on_the_emulator("cuda_reference::");
}

#[test]
fn models_on_the_emulator() {
    on_the_emulator("model::");
}

fn on_the_emulator(tests: &str) {
    if is_child() {
        return;
    }
    let seed = crate::bench::seed().to_string();
    let output = child(&[tests, "--nocapture"], &[("OSSMARK_TEST_SEED", &seed)]);
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains(" passed") && !text.contains(" 0 passed") && !text.contains("SKIPPED"),
        "{text}"
    );
}

#[test]
fn trouble_is_a_clear_error() {
    if is_child() {
        return;
    }
    let said = |env: &[(&str, &str)]| {
        let output = child(
            &["--ignored", "--exact", "model::child", "--nocapture"],
            env,
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{env:?}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    let fine = said(&[]);
    assert!(
        fine.contains("LOADED: ") && fine.contains("emulator (no GPU)") && fine.contains("DONE"),
        "{fine}"
    );
    for (env, expected) in [
        (
            ("OSSMARK_EMULATOR_STUB", "1"),
            "LOAD: cuDriverGetVersion failed: the libcuda.so that was found is the CUDA toolkit's stub",
        ),
        (
            ("OSSMARK_EMULATOR_DRIVER", "12020"),
            "LOAD: NVIDIA's driver supports CUDA 12.2, expected 13.0 or later",
        ),
        (
            ("OSSMARK_EMULATOR_CAPABILITY", "75"),
            "LOAD: the device has compute capability 7.5, expected 8.0 or later",
        ),
        (
            ("OSSMARK_EMULATOR_MIB", "1"),
            "bytes of memory left, expected",
        ),
        (
            ("OSSMARK_EMULATOR_BREAKS_AT", "70"),
            "STEP: the CUDA device is lost: ",
        ),
        (
            ("OSSMARK_EMULATOR_FAULTS", "none,embed"),
            "STEP: the CUDA device is lost: ",
        ),
    ] {
        let text = said(&[env]);
        assert!(
            text.contains(expected) && !text.contains("DONE"),
            "{env:?}: {text}"
        );
    }
}

/// Decode steps that cannot be recorded are launched as ever, with a warning; and recordings are what is launched
/// otherwise: without them, there are other tokens or none.
#[test]
fn recordings_that_fail_are_done_without() {
    if is_child() {
        return;
    }
    let said = |env: &[(&str, &str)]| {
        let output = child(
            &["--ignored", "--exact", "graphs::child", "--nocapture"],
            env,
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{env:?}: {text}");
        let line = |name: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {text}"))
                .to_owned()
        };
        (line("WARNINGS: "), line("TOKENS: "))
    };
    let (warnings, tokens) = said(&[]);
    assert_eq!(warnings, "[]");
    let (warnings, without) = said(&[("OSSMARK_EMULATOR_GRAPHS", "fail")]);
    assert!(
        warnings.contains("could not be recorded") && warnings.contains("cuStreamBeginCapture"),
        "{warnings}"
    );
    assert_eq!(without, tokens);
    // Each takes some 60 MiB, and there is room for two of four: the larger ones are launched, in a run that finds memory.
    let (warnings, some) = said(&[
        ("OSSMARK_EMULATOR_GRAPH_KIB", "2048"),
        ("OSSMARK_EMULATOR_MIB", "240"),
    ]);
    assert!(
        warnings.contains("decode steps of more than") && warnings.contains("cuGraphUpload"),
        "{warnings}"
    );
    assert_eq!(some, tokens);
    let skipped = child(
        &["--ignored", "--exact", "graphs::child", "--nocapture"],
        &[("OSSMARK_EMULATOR_GRAPHS", "skip")],
    );
    let text = String::from_utf8_lossy(&skipped.stdout).into_owned();
    assert!(text.contains("WARNINGS: []"), "{text}");
    assert!(!text.contains(&tokens), "without the recordings: {text}");
}

/// What a run is told to do without is not done; and was, where it is not told so.
#[test]
fn tests_do_without_what_they_are_told() {
    if is_child() {
        return;
    }
    let product = "linear_mma::cuda::fewer_spans_than_warps";
    for (word, trouble) in [
        ("overlap", ("OSSMARK_EMULATOR_OVERLAP", "refused")),
        ("fast", ("OSSMARK_EMULATOR_SKIPS", "linear_mma")),
    ] {
        let passes = |env: &[(&str, &str)]| child(&["--exact", product], env).status.success();
        assert!(!passes(&[trouble]), "{trouble:?}");
        assert!(passes(&[trouble, ("OSSMARK_TEST_WITHOUT", word)]), "{word}");
    }
    let recorded = child(
        &["--ignored", "--exact", "graphs::child", "--nocapture"],
        &[
            ("OSSMARK_EMULATOR_GRAPHS", "fail"),
            ("OSSMARK_TEST_WITHOUT", "graphs"),
        ],
    );
    let text = String::from_utf8_lossy(&recorded.stdout);
    assert!(text.contains("WARNINGS: []"), "{text}");
}

#[test]
fn all_tests_of_a_process_use_one_context() {
    if is_child() {
        return;
    }
    let made = child(
        &["--test-threads=1", "linear_mma::cuda::"],
        &[("OSSMARK_EMULATOR_CONTEXTS", "1")],
    );
    assert!(made.status.success());
    let text = String::from_utf8_lossy(&made.stderr);
    assert_eq!(text.matches("a context is made").count(), 1, "{text}");
}

#[test]
fn no_driver_is_a_clear_error() {
    // Where there is a driver, there is nothing to see.
    if let Err(e) = ossmark_engine::cuda_devices() {
        assert!(e.to_string().contains("use --engine cpu"), "{e}");
    }
}
