//! The comparison of the kernels made for speed with the reference ones that every loading ends with.

use ossmark_engine::{CudaSettings, KvDtype, LoadError, LoadedModel, load_cuda};

use crate::tiny::Tiny;

/// Shapes that every kernel made for speed takes.
fn load(kv: KvDtype) -> Result<LoadedModel, LoadError> {
    let model = Tiny {
        window: 16,
        hidden: 64,
        inter: 64,
        experts: 8,
        top_k: 2,
        heads: 8,
        kv_heads: 1,
        ..Tiny::default()
    };
    let settings = CudaSettings {
        memory_budget_bytes: Some(64 << 20),
        max_step_tokens: 600,
        max_seqs: 8,
        kv,
        ..CudaSettings::default()
    };
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
            let said = load(kv).unwrap_or_else(|e| panic!("{e}")).info.description;
            // Seven operations in each of two layers, and the head, in four steps.
            let (_, error) = said
                .split_once("checked against the plain ones: 60 results differ by at most ")
                .unwrap_or_else(|| panic!("{said}"));
            println!("{kv:?}: {error}");
            let (error, _) = error.split_once(' ').unwrap();
            assert!(error.parse::<f64>().unwrap() > 0.0, "{said}");
        }
    }
}

/// Loads, and prints how that went; its parent sets up the trouble. Not a test of its own.
#[test]
#[ignore = "run by emulator::a_kernel_that_does_nothing_is_noticed_before_the_start"]
fn child() {
    match load(KvDtype::AsActivations) {
        Ok(loaded) => println!("LOADED: {}", loaded.info.description),
        Err(e) => println!("LOAD: {e}"),
    }
}
