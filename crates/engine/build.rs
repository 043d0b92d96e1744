//! The kernels for the CUDA engine: images of `kernels/*.cu` where nvcc is found, and in any case their sources, each as
//! one text, for NVRTC at run time. Nothing here needs CUDA to be installed.
//!
//! `OSSMARK_NVCC` names the compiler (`none`: build no images), else `CUDA_HOME/bin/nvcc`, else the one on the PATH.
//! `OSSMARK_CUDA_ARCHS` lists what to build for, by default `90a`.
#![allow(
    clippy::disallowed_methods,
    reason = "build scripts read what they are built from"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "cargo reads it")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    // Asked now, not when this was compiled: a target directory may serve several checkouts, or one that has been moved.
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let kernels = Path::new(&package).join("../../kernels");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for name in ["OSSMARK_NVCC", "OSSMARK_CUDA_ARCHS", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed={}", kernels.display());
    let nvcc = find_nvcc();
    let archs = env::var("OSSMARK_CUDA_ARCHS").unwrap_or_else(|_| "90a".into());
    let archs: Vec<&str> = archs
        .split([',', ' '])
        .map(|a| a.trim().trim_start_matches("sm_"))
        .filter(|a| !a.is_empty())
        .collect();
    let mut table = String::from("static MODULES: &[Module] = &[\n");
    for file in sources(&kernels) {
        let name = file
            .file_stem()
            .expect("has one")
            .to_string_lossy()
            .into_owned();
        let flat = out.join(format!("{name}.flat.cu"));
        let mut text = String::new();
        flatten(&file, &kernels, &mut BTreeSet::new(), &mut text);
        fs::write(&flat, text).expect("OUT_DIR can be written");
        let _ = write!(
            table,
            "    Module {{ name: {name:?}, source: include_str!({flat:?}), images: &["
        );
        for arch in nvcc.iter().flat_map(|_| &archs) {
            let image = out.join(format!("{name}.sm_{arch}.cubin"));
            compile(
                nvcc.as_deref().expect("found"),
                &kernels,
                &file,
                arch,
                &image,
            );
            let _ = write!(table, "({arch:?}, include_bytes!({image:?})), ");
        }
        table.push_str("] },\n");
    }
    table.push_str("];\n");
    fs::write(out.join("modules.rs"), table).expect("OUT_DIR can be written");
}

fn sources(kernels: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(kernels).unwrap_or_else(|e| {
        panic!(
            "{}: {e}; the kernels belong to the repository",
            kernels.display()
        )
    });
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "cu"));
    files.sort();
    files
}

fn find_nvcc() -> Option<PathBuf> {
    if let Some(named) = env::var_os("OSSMARK_NVCC") {
        if named == "none" {
            return None;
        }
        let path = PathBuf::from(named);
        assert!(
            path.is_file(),
            "OSSMARK_NVCC={}: no such file; name nvcc itself, or none",
            path.display()
        );
        return Some(path);
    }
    let home = env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    home.into_iter()
        .chain(env::split_paths(&path))
        .map(|dir| dir.join("nvcc"))
        .find(|nvcc| nvcc.is_file())
}

fn compile(nvcc: &Path, kernels: &Path, file: &Path, arch: &str, image: &Path) {
    let output = Command::new(nvcc)
        .args([
            "-cubin",
            "-O3",
            "-std=c++17",
            "-lineinfo",
            "-Werror",
            "all-warnings",
        ])
        .arg(format!("-gencode=arch=compute_{arch},code=sm_{arch}"))
        .arg("-I")
        .arg(kernels)
        .arg("-o")
        .args([image, file])
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", nvcc.display()));
    assert!(
        output.status.success(),
        "{} for sm_{arch}:\n{}{}",
        file.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// One text without `#include "…"`: NVRTC then needs no folder of headers beside the binary.
fn flatten(file: &Path, kernels: &Path, seen: &mut BTreeSet<PathBuf>, into: &mut String) {
    let path = file
        .canonicalize()
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    if !seen.insert(path.clone()) {
        return;
    }
    let text = fs::read_to_string(&path).expect("readable");
    for line in text.lines() {
        let included = line
            .strip_prefix("#include \"")
            .and_then(|rest| rest.strip_suffix('"'));
        match included {
            // Belongs to the emulator, which is not compiled from this text.
            Some(name) if name.starts_with("emulator/") => {}
            Some(name) => {
                let beside = path.parent().expect("a file").join(name);
                let found = if beside.is_file() {
                    beside
                } else {
                    kernels.join(name)
                };
                flatten(&found, kernels, seen, into);
            }
            None if line == "#pragma once" => {}
            None => {
                into.push_str(line);
                into.push('\n');
            }
        }
    }
}
