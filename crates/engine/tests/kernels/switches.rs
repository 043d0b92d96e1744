//! What a run of these tests does without: `OSSMARK_TEST_WITHOUT` names it, by commas. `overlap`: kernels that start while the
//! ones before them end; `graphs`: recorded decode steps; `fast`: the kernels made for speed; or some of those by their names.
//! For finding out on a GPU what is at fault when a test fails there.

use ossmark_engine::{CudaSettings, FastKernel, KernelSet};

const KNOWN: [&str; 3] = ["overlap", "graphs", "fast"];

/// Whether the run does without this.
pub(crate) fn without(what: &str) -> bool {
    let set = std::env::var("OSSMARK_TEST_WITHOUT").unwrap_or_default();
    names(&set, what)
}

fn names(set: &str, what: &str) -> bool {
    let mut found = false;
    for word in set.split(',').filter(|word| !word.is_empty()) {
        assert!(
            KNOWN.contains(&word) || word.parse::<FastKernel>().is_ok(),
            "OSSMARK_TEST_WITHOUT names {word:?}, expected some of {KNOWN:?} or kernels made for speed, by commas"
        );
        found |= word == what;
    }
    found
}

/// The kernels that the run does without.
fn kernels() -> KernelSet {
    let named = FastKernel::all().filter(|k| k.files().iter().any(|file| without(file)));
    named.collect()
}

/// A test's settings, less what the run does without. Every test that loads a model takes them through this.
pub(crate) fn switched(settings: CudaSettings) -> CudaSettings {
    CudaSettings {
        overlap: settings.overlap && !without("overlap"),
        graphs: settings.graphs && !without("graphs"),
        reference_kernels: settings.reference_kernels || without("fast"),
        without: kernels(),
        ..settings
    }
}

#[test]
fn words_are_known_ones() {
    assert!(names("graphs,overlap", "overlap") && !names("graphs", "overlap"));
    assert!(!names("", "fast"));
    assert!(names("fast,moe_down_mma", "moe_down_mma"));
    assert!(std::panic::catch_unwind(|| names("overlaps", "overlap")).is_err());
}

/// What the first minutes on a GPU leave out when it fails by itself.
#[test]
fn the_script_knows_the_kernels_that_can_be_left_out() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/gpu");
    let text = std::fs::read_to_string(script).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("fast='"));
    let mut listed: Vec<_> = line
        .unwrap()
        .trim_end_matches('\'')
        .split_whitespace()
        .collect();
    let mut files: Vec<_> = FastKernel::all()
        .flat_map(FastKernel::files)
        .copied()
        .collect();
    listed.sort_unstable();
    files.sort_unstable();
    assert_eq!(listed, files);
}

#[test]
fn every_test_that_loads_a_model_can_be_switched() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let own = path.ends_with("switches.rs");
        let made = text.matches("CudaSettings {\n").count();
        // A function that returns settings has the words too.
        let returned = text.matches("-> CudaSettings {\n").count();
        let switched = text.matches("switched(").count();
        assert!(
            own || switched >= made - returned,
            "{}: settings of a CUDA engine that are not taken through switches::switched",
            path.display()
        );
    }
}
