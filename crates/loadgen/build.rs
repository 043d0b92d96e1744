//! Finds LoadGen 6.0.17, checks that it is the pinned release and compiles it together with the shim and the bridge.
//!
//! Where the sources come from, first match wins: `LOADGEN_SRC` (an unpacked source distribution), `LOADGEN_SDIST` (its
//! tarball), `pip download` of the pinned release from PyPI. No LoadGen source is kept in this repository.
#![allow(
    clippy::disallowed_methods,
    reason = "build scripts read what they are built from"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "cargo reads it")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

const VERSION: &str = "6.0.17";
const SDIST_NAME: &str = "mlcommons_loadgen-6.0.17";
const SDIST_SHA256: &str = "a2e85d09e3cc0c606f89bfe1fbf97537c8b5b238ae0afbd923ad9c710fcf2ca8";
/// `bindings/` (Python and C) is left out: the shim derives the C++ classes directly.
const SOURCES: [&str; 9] = [
    "early_stopping.cc",
    "issue_query_controller.cc",
    "loadgen.cc",
    "logging.cc",
    "results.cc",
    "test_settings_internal.cc",
    "utils.cc",
    "version.cc",
    "generated/version_generated.cc",
];

fn main() {
    for path in ["build.rs", "src/ffi.rs", "src/shim.h", "src/shim.cc"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=LOADGEN_SRC");
    println!("cargo::rerun-if-env-changed=LOADGEN_SDIST");
    println!("cargo::rerun-if-env-changed=LOADGEN_SANITIZE");
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    println!("cargo::rustc-env=LOADGEN_VERSION={VERSION}");
    // docs.rs has neither LoadGen's sources nor a network; documentation needs no C++.
    if std::env::var_os("DOCS_RS").is_some() {
        println!("cargo::rustc-env=LOADGEN_SOURCE=none");
        println!("cargo::rustc-env=LOADGEN_DIRECTORY=none");
        return;
    }

    match locate(&PathBuf::from(var("OUT_DIR"))).and_then(|(src, origin)| {
        check(&src)?;
        Ok((src, origin))
    }) {
        Ok((src, origin)) => {
            compile(&src, &origin);
            println!("cargo::rustc-env=LOADGEN_SOURCE={origin}");
            // For the tests, which build a C++ program from the same sources; nothing else looks at it.
            println!("cargo::rustc-env=LOADGEN_DIRECTORY={}", src.display());
        }
        Err(problem) => {
            for line in problem.lines() {
                println!("cargo::error={line}");
            }
            println!(
                "cargo::error=LoadGen {VERSION} is needed in one of three ways: LOADGEN_SRC=<the unpacked \
                 {SDIST_NAME} directory>, LOADGEN_SDIST=<{SDIST_NAME}.tar.gz>, or python3 with pip and access to \
                 PyPI (apt install python3-pip) so that the build can download it"
            );
            std::process::exit(1);
        }
    }
}

/// The source directory and a word on where it came from, for the run's provenance.
fn locate(out: &Path) -> Result<(PathBuf, String), String> {
    if let Some(dir) = std::env::var_os("LOADGEN_SRC") {
        let dir =
            fs::canonicalize(&dir).map_err(|e| format!("LOADGEN_SRC={}: {e}", dir.display()))?;
        println!("cargo::rerun-if-changed={}", dir.display());
        return Ok((dir, "LOADGEN_SRC".into()));
    }
    let tarball = if let Some(file) = std::env::var_os("LOADGEN_SDIST") {
        let file = PathBuf::from(file);
        println!("cargo::rerun-if-changed={}", file.display());
        file
    } else {
        download(out)?
    };
    verify(&tarball)?;
    let dir = unpack(&tarball, out)?;
    Ok((dir, format!("sha256:{SDIST_SHA256}")))
}

fn download(out: &Path) -> Result<PathBuf, String> {
    let dir = out.join("download");
    let tarball = dir.join(format!("{SDIST_NAME}.tar.gz"));
    if verify(&tarball).is_ok() {
        return Ok(tarball);
    }
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let requirements = out.join("requirements.txt");
    let line = format!("mlcommons_loadgen=={VERSION} --hash=sha256:{SDIST_SHA256}\n");
    fs::write(&requirements, line).map_err(|e| format!("{}: {e}", requirements.display()))?;
    let run = Command::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
        ])
        .args(["--no-binary", ":all:", "--require-hashes", "-r"])
        .arg(&requirements)
        .arg("-d")
        .arg(&dir)
        .output()
        .map_err(|e| {
            format!("neither LOADGEN_SRC nor LOADGEN_SDIST is set and python3 did not start: {e}")
        })?;
    if run.status.success() {
        return Ok(tarball);
    }
    Err(format!(
        "neither LOADGEN_SRC nor LOADGEN_SDIST is set and `python3 -m pip download mlcommons_loadgen=={VERSION}` \
         failed ({}):\n{}",
        run.status,
        String::from_utf8_lossy(&run.stderr).trim_end()
    ))
}

fn verify(tarball: &Path) -> Result<(), String> {
    let bytes = fs::read(tarball).map_err(|e| format!("{}: {e}", tarball.display()))?;
    let found: String = Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    if found == SDIST_SHA256 {
        return Ok(());
    }
    Err(format!(
        "{}: sha256 is {found}, expected {SDIST_SHA256} ({SDIST_NAME}.tar.gz on PyPI)",
        tarball.display()
    ))
}

fn unpack(tarball: &Path, out: &Path) -> Result<PathBuf, String> {
    let dir = out.join(SDIST_NAME);
    match fs::remove_dir_all(&dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(format!("{}: {e}", dir.display()));
        }
        _ => {}
    }
    let run = Command::new("tar")
        .arg("-xzf")
        .arg(tarball)
        .arg("-C")
        .arg(out)
        .output()
        .map_err(|e| format!("tar did not start: {e}"))?;
    if run.status.success() {
        return Ok(dir);
    }
    Err(format!(
        "tar -xzf {}: {}",
        tarball.display(),
        String::from_utf8_lossy(&run.stderr).trim_end()
    ))
}

fn check(src: &Path) -> Result<(), String> {
    let file = src.join("VERSION.txt");
    let found = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    if found.trim() != VERSION {
        return Err(format!(
            "{}: LoadGen {}, expected {VERSION}",
            file.display(),
            found.trim()
        ));
    }
    for name in SOURCES
        .iter()
        .chain(&["mlperf_conf.h", "loadgen.h", "issue_query_controller.h"])
    {
        if !src.join(name).is_file() {
            return Err(format!(
                "{}: {name} is missing; a git checkout lacks the generated files, the source distribution has them",
                src.display()
            ));
        }
    }
    Ok(())
}

fn compile(src: &Path, origin: &str) {
    bridge(src);
    loadgen(src, origin);
    println!("cargo::rustc-link-lib=pthread");
    // rustc links with -nodefaultlibs, so that the compiler adds no runtime by itself.
    match sanitizer() {
        Some(Sanitizer::Address) => println!("cargo::rustc-link-lib=dylib=asan"),
        Some(Sanitizer::Thread) => println!("cargo::rustc-link-lib=dylib=tsan"),
        None => {}
    }
}

/// With which the C++ side is built; for the contract tests (see README.md, "Sanitizers").
#[derive(Clone, Copy)]
enum Sanitizer {
    Address,
    Thread,
}

fn sanitizer() -> Option<Sanitizer> {
    match std::env::var("LOADGEN_SANITIZE").as_deref() {
        Ok("address") => Some(Sanitizer::Address),
        Ok("thread") => Some(Sanitizer::Thread),
        Ok(other) if !other.is_empty() => {
            println!("cargo::error=LOADGEN_SANITIZE={other}: expected address or thread");
            std::process::exit(1);
        }
        _ => None,
    }
}

fn bridge(src: &Path) {
    let mut build = cxx_build::bridge("src/ffi.rs");
    common(&mut build, src)
        .file("src/shim.cc")
        .compile("loadgen_shim");
}

/// The slow part: kept as long as the pinned release and the compiler's settings stay, whatever else changes.
fn loadgen(src: &Path, origin: &str) {
    let out = PathBuf::from(var("OUT_DIR"));
    let stamp = out.join("loadgen.stamp");
    let env = |name: &str| std::env::var_os(name).unwrap_or_default();
    let key = format!(
        "{origin} {:?} {:?} {:?} {}",
        env("CXX"),
        env("CXXFLAGS"),
        env("LOADGEN_SANITIZE"),
        include_str!("build.rs")
    );
    let pinned = origin.starts_with("sha256:");
    if pinned
        && out.join("libmlperf_loadgen.a").is_file()
        && fs::read_to_string(&stamp).is_ok_and(|old| old == key)
    {
        println!("cargo::rustc-link-search=native={}", out.display());
        println!("cargo::rustc-link-lib=static=mlperf_loadgen");
        return;
    }
    let mut build = cc::Build::new();
    let build = common(build.cpp(true), src);
    for name in SOURCES {
        match (sanitizer(), name) {
            (Some(Sanitizer::Thread), "logging.cc") => build.file(roomy(src, &out)),
            _ => build.file(src.join(name)),
        };
    }
    build.compile("mlperf_loadgen");
    fs::write(&stamp, key).unwrap_or_else(|e| panic!("{}: {e}", stamp.display()));
}

/// For ThreadSanitizer only, a copy of LoadGen's log with room for more than 1024 entries at a time. With that few, a slow
/// program soon runs into what is wrong when there are more (README.md, "Faults of LoadGen"), and hangs.
fn roomy(src: &Path, out: &Path) -> PathBuf {
    let (from, to) = (src.join("logging.cc"), out.join("logging.cc"));
    let text = fs::read_to_string(&from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    let (old, new) = (
        "kTlsLogReservedEntryCount = 1024;",
        "kTlsLogReservedEntryCount = 65536;",
    );
    assert!(text.contains(old), "{}: no {old}", from.display());
    // As in the original, for the logs: __FILE__ is mapped from the sources' directory.
    let line = format!("#line 1 \"{}\"\n", from.display());
    fs::write(&to, line + &text.replace(old, new))
        .unwrap_or_else(|e| panic!("{}: {e}", to.display()));
    to
}

fn common<'a>(build: &'a mut cc::Build, src: &Path) -> &'a mut cc::Build {
    let mut numbers = VERSION.split('.');
    // LoadGen writes __FILE__ into every line of the detail log: without the map, logs would show where they were built.
    let mut prefix_map = OsString::from("-ffile-prefix-map=");
    prefix_map.push(src);
    prefix_map.push("=loadgen");
    match sanitizer() {
        Some(Sanitizer::Address) => build.flag("-fsanitize=address").flag("-g"),
        Some(Sanitizer::Thread) => build.flag("-fsanitize=thread").flag("-g"),
        None => build.debug(false),
    };
    build
        .include(src)
        .std("c++17")
        // Time stamps are taken in here: never slower than a release build, not even under `cargo test`.
        .opt_level(3)
        .define("NDEBUG", None)
        .define("MAJOR_VERSION", numbers.next())
        .define("MINOR_VERSION", numbers.next())
        .flag("-pthread")
        .flag(prefix_map)
        .warnings(false)
}

fn var(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is set by cargo"))
}
