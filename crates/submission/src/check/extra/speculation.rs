//! Speculative decoding, as far as a run of ossmark says that it drafted: where the rules allow it, with which head and how.

use ossmark_logs::Drafting;
use ossmark_logs::detail_log::DetailLog;
use ossmark_rules::rules;

use super::super::run::Run;
use crate::finding::Findings;

/// Looks at the log in `file`.
pub(super) fn check(run: &Run<'_>, file: &str, log: &DetailLog, findings: &mut Findings) {
    let Some(drafting) = log.str("sut_name").and_then(Drafting::of_sut) else {
        return;
    };
    if run.system.is_open() {
        return;
    }
    let rules = &rules().speculation;
    let allowed = &rules.scenario.value;
    if !run.folder.eq_ignore_ascii_case(allowed) {
        let message = format!(
            "found a run that drafts tokens ({drafting}), expected that in {allowed} alone"
        );
        run.report(findings, "speculation.scenario", file, message);
    }
    let steps = rules.num_steps.value;
    if drafting.steps != steps {
        let message = format!(
            "found {} tokens drafted at a time, expected {steps}",
            drafting.steps
        );
        run.report(findings, "speculation.steps", file, message);
    }
    let known = &rules.tensors_sha256.value;
    if !known.iter().any(|hash| drafting.is_of(hash)) {
        let message = format!(
            "found a head whose tensors' SHA-256 begins with {}, which is not known to be that of {}",
            drafting.head, rules.head.value
        );
        run.report(findings, "speculation.head", file, message);
    }
}
