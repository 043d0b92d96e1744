//! TEST07 and TEST09, as far as the official checker looks: a file that holds "TEST PASS".

use super::super::endpoints;
use super::super::run::Run;
use crate::finding::Findings;
use crate::tree;

pub(super) fn check(run: &Run<'_>, findings: &mut Findings) {
    let rules = &run.system.rules.compliance;
    let tests = [
        ("TEST07", &rules.test07.result_file.value),
        ("TEST09", &rules.test09.result_file.value),
    ];
    // Read in every division: a text that cannot be read ends the official checker in open as well.
    let texts = tests.map(|(test, file)| run.text(&format!("{test}/{file}"), findings));
    if run.is_endpoints {
        endpoints::compliance(run, findings);
        return;
    }
    if run.system.is_open() {
        return;
    }
    for ((test, file), text) in tests.into_iter().zip(texts) {
        let file = format!("{test}/{file}");
        if !tree::exists(&run.dir.join(test)) {
            run.report(
                findings,
                "compliance.dir-missing",
                test,
                format!("found no directory {test}"),
            );
        } else if !tree::exists(&run.dir.join(&file)) {
            run.report(
                findings,
                "compliance.result-missing",
                &file,
                "not found, expected what the verification wrote",
            );
        }
        if text.is_some_and(|text| !text.contains("TEST PASS")) {
            run.report(
                findings,
                "compliance.not-passed",
                &file,
                "found no \"TEST PASS\"",
            );
        }
    }
}
