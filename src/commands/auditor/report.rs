//! `ossmark auditor report`: one page of what the other commands wrote, and the chain from checkpoint to score.

use anyhow::{Context, Result, bail};
use ossmark_audit::chain::{self, State};
use ossmark_audit::page::{Chain, Part, page, report as put_together};
use ossmark_files::{Brief, Escaped};
use ossmark_report::{Depth, read};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

use crate::children;
use crate::cli::AuditorReportArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

/// What the commands write is far smaller. In memory a byte takes up to 16, and more where it begins a list.
const MAX_BYTES: u64 = 16 << 20;
const MAX_PARTS: usize = 400_000;

pub(crate) fn report(args: &AuditorReportArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    if args.parts.is_empty() && args.run.is_empty() {
        bail!("nothing to report: expected files that the other commands wrote, or --run RUN");
    }
    let mut output_file = output::claim_file(&args.output, args.force)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let parts = args.parts.iter().map(|file| part(file));
    let parts: Vec<Part> = parts.collect::<Result<_>>()?;
    let fingerprint = parts
        .iter()
        .find(|part| part.value["command"] == "fingerprint");
    let null = Value::Null;
    let fingerprint = fingerprint.map_or(&null, |part| &part.value);
    let mut chains = Vec::new();
    for dir in &args.run {
        let run = read(dir, Depth::Page)?;
        chains.push(Chain {
            run: dir.display().to_string(),
            links: chain::of_run(&run, fingerprint),
        });
    }
    let report = put_together(&parts, chains);
    output_file.write(page(&report).as_bytes())?;
    if let Some(file) = &mut json_file {
        file.write_json(&report)?;
    }
    for chain in &report.chains {
        for link in chain.links.iter().filter(|link| link.state != State::Whole) {
            let state = match link.state {
                State::Missing => "MISSING",
                State::Broken | State::Whole => "BROKEN",
            };
            say!("{state} {}: {}: {}", chain.run, link.name, link.why);
        }
    }
    let asks = report
        .findings
        .iter()
        .filter(|entry| entry.level == "ask")
        .count();
    say!(
        "{} files, {} chains: {asks} to ask, {} to note, {} not looked at",
        report.done.len(),
        report.chains.len(),
        report.findings.len() - asks,
        report.not_looked_at.len()
    );
    say!("written: {}", Escaped::path(&args.output));
    Ok(match asks {
        0 => Outcome::Good,
        _ => Outcome::NotGood,
    })
}

fn part(file: &Path) -> Result<Part> {
    let shown = Escaped::path(file).to_string();
    let opened = ossmark_files::open(file).with_context(|| shown.clone())?;
    let mut bytes = Vec::new();
    opened
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| shown.clone())?;
    let begun = bytes.iter().filter(|b| matches!(b, b'[' | b'{')).count();
    if bytes.len() as u64 > MAX_BYTES || begun > MAX_PARTS {
        bail!("{shown}: found more than any command writes, expected the JSON of one of them");
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
        let error = error.to_string();
        anyhow::anyhow!(
            "{shown}: found no JSON ({}), expected that of a command",
            Brief(&error)
        )
    })?;
    let digest = Sha256::digest(&bytes);
    Ok(Part {
        file: file.display().to_string(),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        value,
    })
}
