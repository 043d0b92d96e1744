//! The choice of kernels by measured times, on the emulator with times that are given (`OSSMARK_EMULATOR_TIMES`): a test of the
//! choice, not of any time. A child loads, its parent sets up the times and the cache.

use std::path::Path;

use ossmark_engine::cuda::ChosenFrom;
use ossmark_engine::{CudaSettings, load_cuda};

use crate::emulator::{child, is_child};
use crate::switches::switched;
use crate::tiny::Tiny;

fn settings(cache: Option<&Path>) -> CudaSettings {
    switched(CudaSettings {
        memory_budget_bytes: Some(16 << 20),
        max_step_tokens: 8,
        max_seqs: 4,
        graphs: false,
        check: std::env::var_os("OSSMARK_EMULATOR_SKIPS").is_some(),
        tune: true,
        tune_cache: cache.map(Into::into),
        ..CudaSettings::default()
    })
}

/// Loads twice, as `--dp 2` does, and prints what was chosen. Not a test of its own.
#[test]
#[ignore = "run by the tests of this file"]
fn chosen() {
    let model = Tiny {
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
    let folder = model.folder();
    let cache = std::env::var_os("OSSMARK_TEST_CACHE");
    for engine in 0..2 {
        let loaded = load_cuda(folder.path(), &settings(cache.as_deref().map(Path::new)));
        let kernels = loaded.unwrap_or_else(|e| panic!("{e}")).info.kernels;
        let kernels = kernels.expect("on CUDA");
        let chosen = kernels.chosen.expect("tune");
        println!("{engine} FROM: {:?}", chosen.from);
        println!("{engine} CHOSEN: {:?}", chosen.thresholds);
        println!("{engine} TIMED: {}", chosen.times.len());
        println!("{engine} NOTES: {:?}", chosen.notes);
        println!("{engine} LEFT OUT: {:?}", kernels.left_out.len());
    }
}

/// What a child says, by the words before each colon.
struct Said(String);

impl Said {
    fn of(times: &str, env: &[(&str, &str)]) -> Self {
        let mut all = vec![("OSSMARK_EMULATOR_TIMES", times)];
        all.extend_from_slice(env);
        let args = ["--ignored", "--exact", "tune::chosen", "--nocapture"];
        let output = child(&args, &all);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        Self(text)
    }

    fn line(&self, begin: &str) -> &str {
        let line = self.0.lines().find_map(|l| l.strip_prefix(begin));
        line.unwrap_or_else(|| panic!("no {begin} in {}", self.0))
    }
}

#[test]
fn a_slow_kernel_is_not_chosen_and_engines_share_a_choice() {
    if is_child() {
        return;
    }
    let slow = Said::of("linear_wgmma=20,moe_gate_up_mma=20", &[]);
    let chosen = slow.line("0 CHOSEN: ");
    // Counted for 64 rows; none was measured that asks for another number.
    assert!(
        chosen.contains("qkv: 64,") && chosen.contains("experts: 1 "),
        "{chosen}"
    );
    // Five operations at 1 and 8 rows.
    assert_eq!(slow.line("0 TIMED: "), "10");
    assert_eq!(slow.line("0 FROM: "), format!("{:?}", ChosenFrom::Measured));
    // The second engine of the process takes what the first has found.
    assert_eq!(slow.line("1 FROM: "), format!("{:?}", ChosenFrom::Process));
    assert_eq!(slow.line("1 CHOSEN: "), chosen);
    assert_eq!(slow.line("1 TIMED: "), "0");
    // And the other way round.
    let other = Said::of("linear_mma=20,moe_gate_up_wgmma=20", &[]);
    let chosen = other.line("0 CHOSEN: ");
    assert!(
        chosen.contains("qkv: 1,") && chosen.contains("experts: 64 "),
        "{chosen}"
    );
}

#[test]
fn a_choice_is_kept_for_this_device_and_only_for_it() {
    if is_child() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let cache = ("OSSMARK_TEST_CACHE", path.to_str().unwrap());
    let first = Said::of("linear_mma=20", &[cache]);
    assert_eq!(first.line("0 FROM: "), "Measured");
    assert!(first.line("0 CHOSEN: ").contains("qkv: 1,"));
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&path).unwrap();
        entries.map(|e| e.unwrap().path()).collect()
    };
    assert_eq!(files().len(), 1);
    // Other times, and still the kept choice; what it names goes through the check all the same.
    let again = Said::of(
        "linear_wgmma=20",
        &[cache, ("OSSMARK_EMULATOR_SKIPS", "linear_wgmma")],
    );
    assert_eq!(again.line("0 FROM: "), "Cache");
    assert_eq!(again.line("0 CHOSEN: "), first.line("0 CHOSEN: "));
    assert_eq!(again.line("0 NOTES: "), "[]");
    assert_eq!(again.line("0 LEFT OUT: "), "1");
    // Damaged: measured anew, and said so.
    std::fs::write(&files()[0], "{\"thresholds\": 1").unwrap();
    let damaged = Said::of("linear_wgmma=20", &[cache]);
    assert_eq!(damaged.line("0 FROM: "), "Measured");
    assert!(damaged.line("0 NOTES: ").contains("no choice of kernels"));
    assert!(damaged.line("0 CHOSEN: ").contains("qkv: 64,"));
    // Another device.
    let other = Said::of("x=1", &[cache, ("OSSMARK_EMULATOR_CAPABILITY", "80")]);
    assert_eq!(other.line("0 FROM: "), "Measured");
    assert_eq!(files().len(), 2);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    if is_child() {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let said = Said::of(
        "x=1",
        &[("OSSMARK_TEST_CACHE", file.path().to_str().unwrap())],
    );
    assert_eq!(said.line("0 FROM: "), "Measured");
    assert_ne!(said.line("0 NOTES: "), "[]");
}
