//! `ossmark auditor anomalies`: what of a run or a tree is not as usual.

use anyhow::Result;
use ossmark_audit::Findings;
use ossmark_audit::anomalies::{of_run, of_tree};
use ossmark_report::{Depth, is_run, read};
use serde::Serialize;

use crate::children;
use crate::cli::AuditorAnomaliesArgs;
use crate::exit::Outcome;
use crate::output;

#[derive(Serialize)]
struct Written<'a> {
    command: &'static str,
    of: String,
    #[serde(flatten)]
    found: &'a Findings,
}

pub(crate) fn anomalies(args: &AuditorAnomaliesArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let found = match is_run(&args.input) {
        true => of_run(&read(&args.input, Depth::Line)?),
        false => of_tree(&args.input)?,
    };
    super::print(&found);
    if let Some(file) = &mut json_file {
        file.write_json(&Written {
            command: "anomalies",
            of: args.input.display().to_string(),
            found: &found,
        })?;
    }
    Ok(match found.asks() {
        0 => Outcome::Good,
        _ => Outcome::NotGood,
    })
}
