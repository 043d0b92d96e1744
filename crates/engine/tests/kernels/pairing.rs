//! Every file of kernels has its launch, its tests and its lines in the ledgers under its name, wherever these lie, and names
//! its reference; every kernel is in the engine's table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The kernels in a file's text: the name of each, and the most threads of a block that it is compiled for. Without a bound the
/// compiler may give a thread more registers than there are for as many threads as the host starts.
pub(crate) fn kernels_of(text: &str) -> impl Iterator<Item = (&str, u32)> {
    let kernels = text.lines().filter(|l| l.starts_with("KERNEL "));
    kernels.map(|l| {
        let (before, _) = l.split_once("(const ").expect("one argument structure");
        let name = before.rsplit(' ').next().expect("a name");
        let bounds = before.strip_prefix("KERNEL __launch_bounds__(");
        let digits = bounds.and_then(|b| b.split([',', ')']).next());
        let threads = digits.and_then(|d| d.parse().ok());
        let threads = threads.unwrap_or_else(|| panic!("kernel {name} has no __launch_bounds__"));
        (name, threads)
    })
}

/// Whether a file of this name lies in `folder` or below.
fn has_file(folder: &Path, name: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.file_name().is_some_and(|f| f == name) || (path.is_dir() && has_file(&path, name))
    })
}

#[test]
fn every_kernel_has_wrapper_tests_reference_and_ledger_line() {
    let root = repository();
    let ledger = std::fs::read_to_string(root.join("kernels/README.md")).unwrap();
    let status = std::fs::read_to_string(root.join("docs/gpu.md")).unwrap();
    let engine = root.join("crates/engine");
    let tests = std::fs::read_to_string(engine.join("tests/kernels/main.rs")).unwrap();
    let table = std::fs::read_to_string(engine.join("src/cuda/kernels.rs")).unwrap();
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("kernels")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "cu") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for folder in ["src/cuda", "tests/kernels"] {
            assert!(
                has_file(&engine.join(folder), &format!("{name}.rs")),
                "kernels/{name}.cu has no {name}.rs in crates/engine/{folder}"
            );
        }
        for (kernel, _) in kernels_of(&text) {
            assert!(
                table.contains(&format!("= \"{kernel}\" in \"{name}\",")),
                "crates/engine/src/cuda/kernels.rs has no kernel {kernel} of {name}.cu"
            );
        }
        assert!(
            tests.contains(&format!("\nmod {name};")),
            "crates/engine/tests/kernels/main.rs does not run {name}.rs"
        );
        let reference = text.lines().find_map(|l| l.strip_prefix("// Reference: "));
        let reference = reference.unwrap_or_else(|| panic!("kernels/{name}.cu names no reference"));
        assert!(
            root.join(reference).is_file(),
            "kernels/{name}.cu: its reference {reference} does not exist"
        );
        for (file, text) in [("kernels/README.md", &ledger), ("docs/gpu.md", &status)] {
            assert!(
                text.contains(&format!("| `{name}` |")),
                "{file} has no line for {name}"
            );
        }
        // Plain C symbols only, and no CUDA header, so that NVRTC and the emulator take the same text.
        assert!(
            !text.contains("#include <"),
            "kernels/{name}.cu includes a system header"
        );
        files.insert(name);
    }
    assert!(files.len() >= 11, "{files:?}");
}
