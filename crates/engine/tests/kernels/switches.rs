//! What a run of these tests does without: `OSSMARK_TEST_WITHOUT` names it, by commas. `overlap`: kernels that start while the ones
//! before them end; `graphs`: recorded decode steps; `fast`: the kernels made for speed. For finding out on a GPU what is at
//! fault when a test fails there.

use ossmark_engine::CudaSettings;

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
            KNOWN.contains(&word),
            "OSSMARK_TEST_WITHOUT names {word:?}, expected some of {KNOWN:?}, by commas"
        );
        found |= word == what;
    }
    found
}

/// A test's settings, less what the run does without. Every test that loads a model takes them through this.
pub(crate) fn switched(settings: CudaSettings) -> CudaSettings {
    CudaSettings {
        overlap: settings.overlap && !without("overlap"),
        graphs: settings.graphs && !without("graphs"),
        reference_kernels: settings.reference_kernels || without("fast"),
        ..settings
    }
}

#[test]
fn words_are_known_ones() {
    assert!(names("graphs,overlap", "overlap") && !names("graphs", "overlap"));
    assert!(!names("", "fast"));
    assert!(std::panic::catch_unwind(|| names("overlaps", "overlap")).is_err());
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
