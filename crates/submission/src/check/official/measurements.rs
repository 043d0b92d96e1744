//! measurements.json and the files beside it.

use serde_json::Value;

use super::super::run::Run;
use crate::finding::Findings;
use crate::python;
use crate::tree;

pub(super) fn check(run: &Run<'_>, findings: &mut Findings) {
    let rules = &run.system.rules.submission;
    let source = &rules.source_directories.value;
    if !source
        .iter()
        .any(|name| tree::exists(&run.system.submitter_dir.join(name)))
    {
        let path = format!("{}/{}", run.system.submitter_path, source.join(" or "));
        findings.invalidating(
            &run.path,
            "measurements.source-missing",
            &path,
            "not found, expected the code that talks to LoadGen",
        );
    }
    for file in &rules.measurement_files.value {
        if run.is_endpoints && file == "user.conf" {
            continue;
        }
        let path = run.dir.join(file);
        if !path.is_file() {
            run.report(
                findings,
                "measurements.file-missing",
                file,
                "not found, expected a file",
            );
        } else if tree::size(&path) == Some(0) {
            run.report(
                findings,
                "measurements.file-empty",
                file,
                "found an empty file",
            );
        }
    }
    let file = "measurements.json";
    let json = match &run.measurements {
        None | Some(Value::Null) => {
            // A file that cannot be read has its finding already.
            if !tree::exists(&run.dir.join(file)) || run.measurements.is_some() {
                run.report(
                    findings,
                    "measurements.missing",
                    file,
                    "not found, expected a JSON object",
                );
            }
            return;
        }
        Some(Value::Object(json)) => json,
        Some(other) => {
            run.report(
                findings,
                "measurements.not-an-object",
                file,
                format!("found {}, expected a JSON object", python::shown(other)),
            );
            return;
        }
    };
    for key in &rules.measurement_fields.value {
        match json.get(key) {
            None => run.report(
                findings,
                "measurements.field-missing",
                file,
                format!("found no field {key}"),
            ),
            Some(value) if !python::truthy(value) => {
                run.report(
                    findings,
                    "measurements.field-empty",
                    file,
                    format!(
                        "found {key} {}, expected a meaningful value",
                        python::shown(value)
                    ),
                );
            }
            Some(_) => {}
        }
    }
}
