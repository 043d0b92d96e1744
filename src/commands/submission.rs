//! `ossmark submission`: submission trees. The work is done by `crates/submission`; this prints it and writes its files.

mod check;
mod rehearse;
mod told;

use anyhow::Result;
use ossmark_submission::build;
use ossmark_submission::truncate::{self, Action};

pub(crate) use check::check;
pub(crate) use rehearse::rehearse;

use crate::children;
use crate::cli::{SubmissionBuildArgs, SubmissionPackArgs, SubmissionTruncateArgs};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

pub(crate) fn build(args: &SubmissionBuildArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let tree = output::claim_tree(&args.output, args.force)?;
    let written = build::build(build::Options {
        description: &args.description,
        output: tree.inside(),
        rehearsal: args.rehearsal,
    })?;
    output::publish(tree)?;
    say!(
        "{} files in {}; next: ossmark submission truncate, check, pack",
        written.len(),
        args.output.display()
    );
    Ok(Outcome::Good)
}

pub(crate) fn truncate(args: &SubmissionTruncateArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let lines = truncate::truncate(truncate::Options {
        input: &args.input,
        submitter: &args.submitter,
        backup: &args.backup,
    })?;
    let mut problems = 0;
    for line in &lines {
        let done = match &line.action {
            Action::Truncated => "truncated",
            Action::Hashed => "hashed, short enough to stay whole",
            Action::AlreadyDone => "already done",
            Action::Problem(why) => {
                problems += 1;
                why
            }
        };
        say!("{}: {}", line.path, done);
    }
    say!(
        "{} logs, {problems} problems; keep {} in case MLCommons asks for the originals",
        lines.len(),
        args.backup.display()
    );
    if let Some(file) = &mut json_file {
        file.write_json(&lines)?;
    }
    if lines.is_empty() {
        anyhow::bail!(
            "--submitter {}: found no result of this submitter in {}; give the name as the directory is spelt",
            args.submitter,
            args.input.display()
        );
    }
    Ok(if problems == 0 {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

pub(crate) fn pack(args: &SubmissionPackArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut output_file = output::claim_optional(args.output.as_ref(), args.force)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let (file, done) = match (&args.verify, &args.input, &args.submitter, &mut output_file) {
        (Some(file), ..) => match ossmark_submission::pack::verify(file) {
            Ok(packed) => (file.as_path(), packed),
            // A file that is there and is not what it should be is a failed check, not a command that could not run.
            Err(error @ ossmark_submission::Error::Unusable { .. }) => {
                say!("INVALID {error}");
                return Ok(Outcome::NotGood);
            }
            Err(error) => return Err(error.into()),
        },
        (None, Some(input), Some(submitter), Some(file)) => {
            let mut packed = None;
            file.with(|claim| {
                let (done, moved) = ossmark_submission::pack::pack(input, submitter, claim)?;
                packed = Some(done);
                anyhow::Ok(moved)
            })?;
            // None: a pipe whose reader has gone.
            let Some(packed) = packed else {
                return Ok(Outcome::Good);
            };
            (file.path(), packed)
        }
        _ => anyhow::bail!(
            "expected DIR --submitter NAME --output FILE.tar.zst, or --verify FILE.tar.zst"
        ),
    };
    say!(
        "{}: {} files, {} bytes, every hash as in SHA256SUMS",
        file.display(),
        done.files,
        done.bytes
    );
    say!("sha256 {}", done.sha256);
    if let Some(file) = &mut json_file {
        file.write_json(&done)?;
    }
    Ok(Outcome::Good)
}
