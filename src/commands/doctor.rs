//! `ossmark doctor`: what this machine has for the main job.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::children;
use crate::cli::DoctorArgs;
use crate::doctor::{LoadgenInfo, main_job_can_run, render, report};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::page;

pub(crate) fn doctor(args: &DoctorArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let loadgen = LoadgenInfo {
        version: loadgen::LOADGEN_VERSION.into(),
        source: loadgen::LOADGEN_SOURCE.into(),
    };
    let checks = report(
        &loadgen,
        &args.python,
        Path::new("."),
        super::confine::helper()?,
    );
    page(&render(&checks));
    let can_run = main_job_can_run(&checks);
    if let Some(file) = &mut json_file {
        file.write_json(&json!({ "main_job_can_run": can_run, "checks": checks }))?;
    }
    Ok(if can_run {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}
