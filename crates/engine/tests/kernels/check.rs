//! The comparison of the kernels made for speed with the reference ones that every loading ends with.

use ossmark_engine::{
    CudaSettings, Drafter, KvDtype, LoadError, LoadedModel, SyntheticHead, load_cuda,
};

use crate::switches::switched;
use crate::tiny::Tiny;

const HEAD: Drafter = Drafter::Synthetic(SyntheticHead {
    seed: 1,
    steps: 3,
    acceptance_length: 2.0,
});

/// Shapes that every kernel made for speed takes.
fn load_plain(kv: KvDtype) -> Result<LoadedModel, LoadError> {
    load(kv, 8, true, None)
}

/// Enough rows for every kernel of a guess; recording all their sizes would take long.
fn load_with_head(kv: KvDtype) -> Result<LoadedModel, LoadError> {
    load(kv, 72, false, Some(HEAD))
}

fn load(
    kv: KvDtype,
    max_seqs: u32,
    graphs: bool,
    drafter: Option<Drafter>,
) -> Result<LoadedModel, LoadError> {
    let model = Tiny {
        // A multiple of 8, as the wgmma kernels want it.
        vocab: 72,
        window: 16,
        hidden: 64,
        inter: 64,
        experts: 8,
        top_k: 2,
        heads: 8,
        kv_heads: 1,
        ..Tiny::default()
    };
    let settings = switched(CudaSettings {
        strict: std::env::var_os("OSSMARK_TEST_STRICT").is_some(),
        memory_budget_bytes: Some(64 << 20),
        max_step_tokens: 600,
        max_seqs,
        graphs,
        drafter,
        kv,
        ..CudaSettings::default()
    });
    let loaded = load_cuda(model.folder().path(), &settings);
    let (bytes, total) = settings.progress.bytes();
    // Headers are not copied, and biases become wider.
    assert!(
        total > 0 && bytes > total / 2 && bytes < total * 2,
        "{bytes} of {total}"
    );
    loaded
}

mod cuda {
    use super::*;
    use crate::bench::has_cuda;

    #[test]
    fn all_kernels_agree() {
        if !has_cuda("check::cuda::all_kernels_agree") {
            return;
        }
        for kv in [KvDtype::AsActivations, KvDtype::Fp8] {
            let said = load_plain(kv)
                .unwrap_or_else(|e| panic!("{e}"))
                .info
                .description;
            // Seven operations in each of two layers, and the head, in four steps.
            let (_, error) = said
                .split_once("checked against the plain ones: 60 results differ by at most ")
                .unwrap_or_else(|| panic!("{said}"));
            println!("{kv:?}: {error}");
            let (error, _) = error.split_once(' ').unwrap();
            assert!(error.parse::<f64>().unwrap() > 0.0, "{said}");
        }
    }

    #[test]
    fn those_of_a_head_too() {
        if !has_cuda("check::cuda::those_of_a_head_too") {
            return;
        }
        let loaded = load_with_head(KvDtype::Fp8).unwrap_or_else(|e| panic!("{e}"));
        // And eight operations of the head, in four steps.
        let said = loaded.info.description;
        assert!(
            said.contains(" plain ones: 92 results differ by at most "),
            "{said}"
        );
    }
}

/// Loads, and prints how that went; its parent sets up the trouble. Not a test of its own.
#[test]
#[ignore = "run by emulator_check.rs"]
fn child() {
    say(load_plain(KvDtype::AsActivations));
}

/// The same with a head.
#[test]
#[ignore = "run by emulator_check.rs"]
fn child_with_head() {
    say(load_with_head(KvDtype::AsActivations));
}

/// The same with few sequences, and rounds that are recorded.
#[test]
#[ignore = "run by emulator_check.rs"]
fn child_with_recorded_rounds() {
    say(load(KvDtype::AsActivations, 2, true, Some(HEAD)));
}

fn say(loaded: Result<LoadedModel, LoadError>) {
    match loaded {
        Ok(loaded) => {
            let kernels = loaded.info.kernels.expect("on CUDA");
            println!("LOADED: {}", loaded.info.description);
            println!("RECORDED: {:?}", kernels.recorded);
            for left_out in &kernels.left_out {
                println!("LEFT OUT: {left_out}");
                let named = |w: &&String| w.contains(&left_out.to_string());
                assert_eq!(loaded.info.warnings.iter().filter(named).count(), 1);
            }
            for warning in loaded.info.warnings {
                println!("WARNING: {warning}");
            }
        }
        Err(e) => println!("LOAD: {e}"),
    }
}
