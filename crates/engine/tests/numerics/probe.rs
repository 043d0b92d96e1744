//! A changed model, for auditors: other answers for the same work.

use std::sync::Arc;

use ossmark_engine::{Change, CpuSettings, Dtype, Probe, Work, load_cpu};

use crate::drive::{alone, fixture, load, settings};

fn probed(change: Change, work: &Arc<Work>) -> CpuSettings {
    CpuSettings {
        probe: Some(Probe {
            change,
            work: Arc::clone(work),
        }),
        ..settings(Dtype::F32)
    }
}

/// Logits, steps and rows.
fn run(change: Change) -> (Vec<f32>, u64, u64) {
    let work = Arc::new(Work::default());
    let mut exec = load(&fixture("golden/a"), &probed(change, &work));
    let seq = alone(&mut *exec, &[1, 2, 3, 4, 5], 6, 3);
    (seq.logits, work.steps(), work.rows())
}

#[test]
fn a_changed_layer_gives_other_answers_for_the_same_work() {
    let mut plain = load(&fixture("golden/a"), &settings(Dtype::F32));
    let plain = alone(&mut *plain, &[1, 2, 3, 4, 5], 6, 3).logits;
    let (unchanged, steps, rows) = run(Change::Nothing);
    assert!(plain == unchanged, "counting changes nothing");
    assert!(steps > 0 && rows > steps);
    for change in [Change::LayerDropped(0), Change::ExpertsSwapped(0)] {
        let (logits, changed_steps, changed_rows) = run(change);
        assert_eq!(logits.len(), plain.len());
        assert!(logits.iter().all(|x| x.is_finite()));
        assert!(logits != plain, "{change:?}");
        assert_eq!((changed_steps, changed_rows), (steps, rows), "{change:?}");
    }
}

#[test]
fn a_layer_that_is_not_there_is_refused() {
    let settings = probed(Change::LayerDropped(1000), &Arc::default());
    let error = load_cpu(&fixture("golden/a"), &settings)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("1000, expected 0 to"), "{error}");
}
