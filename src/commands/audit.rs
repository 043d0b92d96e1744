//! `ossmark audit`: TEST07 and TEST09, from the run or from its logs, and the ledger of attempts. The verification is done
//! by `crates/submission`; this starts the run as a child, scores, prints and keeps the books.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use ossmark_files::{append_line, copy_whole};
use ossmark_harmony::Detokenizer;
use ossmark_score::{Reference, read_log};
use ossmark_submission::audit::{self, LEDGER, Options, Test07, Test09, Verified};
use serde_json::json;

use crate::children;
use crate::cli::config_file::run_args;
use crate::cli::{AuditArgs, AuditTest07Args, AuditTest09Args};
use crate::exit::Outcome;
use crate::output;
use crate::pairing::Pairing;
use crate::terminal::{note, page, say};
use ossmark_logs::ACCURACY;

/// What makes a run one of this test.
struct Test {
    name: &'static str,
    audit_config: &'static str,
    /// Settings that LoadGen needs beside the audit.config.
    user_conf: Option<&'static str>,
}

const TEST07: Test = Test {
    name: "TEST07",
    audit_config: include_str!("../../mlperf_conf/audit/TEST07/audit.config"),
    user_conf: Some(include_str!("../../mlperf_conf/test07.user.conf")),
};
const TEST09: Test = Test {
    name: "TEST09",
    audit_config: include_str!("../../mlperf_conf/audit/TEST09/audit.config"),
    user_conf: None,
};

pub(crate) fn test07(args: &AuditTest07Args) -> Result<Outcome> {
    verify(&args.common, &TEST07, |options| {
        let text = scorer_output(args, options.logs)?;
        let input = Test07 {
            scorer_output: &text,
            threshold: args.accuracy_threshold,
        };
        Ok(audit::test07(options, input)?)
    })
}

/// What a scorer says about the log: the given text, or our own scorer's.
fn scorer_output(args: &AuditTest07Args, logs: &Path) -> Result<String> {
    if let Some(file) = &args.accuracy_output {
        return ossmark_files::read_to_string(file).with_context(|| {
            format!(
                "--accuracy-output {}: expected what a scorer printed",
                file.display()
            )
        });
    }
    let (Some(reference), Some(tokenizer)) = (&args.reference, &args.tokenizer) else {
        bail!(
            "expected --dataset FILE and --tokenizer PATH to score the log, or --accuracy-output FILE"
        );
    };
    let (reference_file, tokenizer_file) = (reference, tokenizer);
    let reference = Reference::open(reference_file, false)?;
    let log = audit::file_of_run(logs, ACCURACY);
    if let Some(cut) = ossmark_submission::truncate::cut(&log) {
        bail!("{}: {cut}", log.display());
    }
    let pairing = Pairing {
        log: &log,
        reference: reference_file,
        rows: reference.rows(),
        tokenizer: tokenizer_file,
    };
    pairing.refuse("--accuracy-output with what another scorer printed")?;
    let tokenizer = Detokenizer::load(tokenizer_file)?;
    let mut answers = read_log(&log, &reference, &tokenizer)?;
    answers.note_implausible();
    for finding in answers.findings() {
        note!("{finding}");
    }
    if answers.code_answers() > 0 {
        bail!(
            "--dataset: found questions whose answers are programs, expected GPQA's 990 (acc_eval_compliance_gpqa)"
        );
    }
    Ok(answers.report().to_string())
}

pub(crate) fn test09(args: &AuditTest09Args) -> Result<Outcome> {
    verify(&args.common, &TEST09, |options| {
        let input = Test09 {
            min_output_tokens: args.min_output_tokens,
            max_output_tokens: args.max_output_tokens,
        };
        Ok(audit::test09(options, input)?)
    })
}

fn verify(
    args: &AuditArgs,
    test: &Test,
    run: impl FnOnce(Options<'_>) -> Result<Verified>,
) -> Result<Outcome> {
    children::listen()?;
    let tree = output::claim_tree(&args.output.join(test.name), args.force)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let logs = match &args.logs {
        Some(logs) => logs.clone(),
        None => match make_run(args, test)? {
            (logs, Outcome::Good) => logs,
            (logs, Outcome::NotGood) => {
                let problem = "the run is not valid, nothing was verified; see its verdict.json";
                say!("{}: {problem}", logs.display());
                let failed = Verified {
                    test: test.name,
                    passed: false,
                    value: None,
                    bounds: Vec::new(),
                    samples: 0,
                    problems: vec![problem.into()],
                    log_sha256: String::new(),
                    text_sha256: String::new(),
                    text: String::new(),
                };
                enter(&args.output, &logs, &failed)?;
                return Ok(Outcome::NotGood);
            }
        },
    };
    let verified = run(Options {
        logs: &logs,
        output: tree.inside(),
        audit_config: args.audit_config.as_deref(),
        official_only: args.official_only,
    })?;
    output::publish(tree)?;
    page(&verified.text);
    say!("written to {}", args.output.join(test.name).display());
    if !args.official_only {
        enter(&args.output, &logs, &verified)?;
    }
    if let Some(file) = &mut json_file {
        file.write_json(&verified)?;
    }
    Ok(if verified.passed {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

/// Makes the run in a process of its own, because LoadGen runs one test per process. Its directory holds the audit.config
/// that it was made with.
fn make_run(args: &AuditArgs, test: &Test) -> Result<(PathBuf, Outcome)> {
    if args.run.is_empty() {
        bail!(
            "expected --logs DIR, or the options of the run after --, for example: -- --scenario offline --model DIR --dataset FILE"
        );
    }
    // However user.conf is given: behind a space or an equals sign, or in a --config file.
    let given = run_args(&args.run)?;
    if let (Some(file), Some(_)) = (&given.user_conf, test.user_conf) {
        check_user_conf(file, test)?;
    }
    let dir = args
        .output
        .join(format!("{}-run", test.name.to_lowercase()));
    // Given up again at the start of the run, which claims it; the claim of the result is what keeps a second audit away.
    let (claimed, dir) = output::claim_directory(&dir, args.force)?.make_room()?;
    let config = dir.join("audit.config");
    match &args.audit_config {
        Some(file) => {
            copy_whole(file, &config).with_context(|| file.display().to_string())?;
        }
        None => output::write_whole(&config, test.audit_config.as_bytes())?,
    }
    let mut command = children::this_program()?;
    command.args(["run", "--mode", "performance"]);
    command.arg("--output").arg(&dir);
    command.arg("--audit-config").arg(&config);
    if let (None, Some(embedded)) = (&given.user_conf, test.user_conf) {
        let file = dir.join("user.conf");
        output::write_whole(&file, embedded.as_bytes())?;
        command.arg("--user-conf").arg(&file);
    }
    command.args(&args.run);
    drop(claimed);
    let status = children::status(&mut command).context("cannot start the run")?;
    children::fail_if_interrupted(|| {
        format!(
            "nothing was verified; what there is of the run is in {}",
            dir.display()
        )
    })?;
    match status.code() {
        Some(0) => Ok((dir, Outcome::Good)),
        Some(1) => Ok((dir, Outcome::NotGood)),
        _ => bail!(
            "the run of {} could not be made ({status}); its message is above",
            test.name
        ),
    }
}

/// Without this line LoadGen asks for 6396 different samples out of 990 and crashes.
fn check_user_conf(file: &Path, test: &Test) -> Result<()> {
    let text = ossmark_files::read_to_string(file)
        .with_context(|| format!("--user-conf {}", file.display()))?;
    if !text.contains("performance_sample_count_override") {
        bail!(
            "--user-conf {}: found no performance_sample_count_override, expected 990 for {}; add the line \
             `gpt-oss-120b.*.performance_sample_count_override = 990`, as in mlperf_conf/test07.user.conf, or leave the option out",
            file.display(),
            test.name
        );
    }
    Ok(())
}

/// Adds a line to the ledger and says how many attempts there were.
fn enter(output: &Path, logs: &Path, verified: &Verified) -> Result<()> {
    let file = output.join(LEDGER);
    let earlier = ossmark_files::read_to_string(&file).unwrap_or_default();
    let attempts = earlier
        .lines()
        .filter(|line| line.contains(&format!("\"{}\"", verified.test)))
        .count();
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| t.as_secs());
    let line = json!({ "time_unix_s": seconds, "logs": logs, "result": verified });
    append_line(&file, &line.to_string())
        .with_context(|| format!("{}: cannot add to the ledger", file.display()))?;
    say!(
        "attempt {} of {}, see {}",
        attempts + 1,
        verified.test,
        file.display()
    );
    Ok(())
}
