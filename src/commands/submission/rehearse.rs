//! `ossmark submission rehearse`: a submission of all three scenarios, from the first run to the packed tree, with scripted
//! answers in a model's place. Every step is this program started with what a submitter types, in the order in which it is
//! typed.
//!
//! Owned here: what is needed, the order, what is told. The twelve runs are in `runs`, their data in `data`.

mod data;
mod needs;
mod runs;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use ossmark_files::{Escaped, create_new, make_directories};
use serde_json::Value;

use crate::children;
use crate::cli::SubmissionRehearseArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::{page, progress, say, status};

/// What the description in `submission/rehearsal.toml` calls its submitter.
const SUBMITTER: &str = "Rehearsal";
const DESCRIPTION: &str = include_str!("../../../submission/rehearsal.toml");
/// Of gpt-oss's kind, with its control tokens.
const TOKENIZER: &[u8] = include_bytes!("../../../demo/tokenizer.json");
const SCENARIOS: [&str; 3] = ["offline", "server", "interactive"];

/// Where everything goes.
struct Place {
    root: PathBuf,
}

pub(crate) fn rehearse(args: &SubmissionRehearseArgs) -> Result<Outcome> {
    let began = Instant::now();
    let needs = needs::look(args)?;
    page(&needs.to_string());
    if args.dry_run {
        return Ok(Outcome::Good);
    }
    children::listen()?;
    let claimed = output::claim_empty_directory(&args.output, args.force)?;
    let (_directory, root) = claimed.make_room()?;
    let place = Place { root };
    for folder in ["log", "runs", "audit", "harness", "data"] {
        let folder = place.at(folder);
        make_directories(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    output::write_whole(&place.at("data/tokenizer.json"), TOKENIZER)?;
    data::write(&place.at("data"), &place.at("data"))?;
    if runs::make(&place, args.short, began)? == Outcome::NotGood {
        return Ok(Outcome::NotGood);
    }
    for scenario in SCENARIOS {
        place.score(scenario, &args.python, began)?;
    }
    place.submission(args, began)?;
    place.end(args)
}

/// Since then, as a clock shows it.
fn clock(began: Instant) -> String {
    status::clock(began.elapsed().as_secs_f64())
}

impl Place {
    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// This program, with what it prints in `log/NAME.txt`.
    fn command(&self, name: &str, words: &[&dyn AsRef<OsStr>]) -> Result<Command> {
        let log = self.log(name);
        let stdout: File = create_new(&log).with_context(|| log.display().to_string())?;
        let stderr = stdout.try_clone().context("cannot share a file")?;
        let mut command = children::this_program()?;
        command.args(words.iter().map(AsRef::as_ref));
        command.stdout(stdout).stderr(stderr);
        Ok(command)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.at(&format!("log/{name}.txt"))
    }

    /// The last lines of what a command said.
    fn said(&self, name: &str) -> String {
        let text = ossmark_files::read_to_string(&self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// One step after the runs; exit codes that are expected.
    fn step(
        &self,
        name: &str,
        words: &[&dyn AsRef<OsStr>],
        good: &[i32],
        began: Instant,
    ) -> Result<ExitStatus> {
        let status = children::status(&mut self.command(name, words)?)
            .with_context(|| format!("cannot start {name}"))?;
        self.fail_if_interrupted()?;
        if !status.code().is_some_and(|code| good.contains(&code)) {
            bail!(
                "{name} ended with {status}; {}:\n{}",
                self.log(name).display(),
                self.said(name)
            );
        }
        let typed: Vec<OsString> = words.iter().map(|word| word.as_ref().to_owned()).collect();
        progress!("{:>6}  {}", clock(began), self.typed(&typed));
        Ok(status)
    }

    /// A command line with paths from the rehearsal's directory on.
    fn typed(&self, words: &[OsString]) -> String {
        let root = self.root.display().to_string() + "/";
        let words = words
            .iter()
            .map(|word| word.to_string_lossy().replace(&root, ""));
        format!("ossmark {}", Escaped(words.collect::<Vec<_>>().join(" ")))
    }

    fn fail_if_interrupted(&self) -> Result<()> {
        children::fail_if_interrupted(|| {
            format!(
                "the rest of the rehearsal was skipped; what was made until then is in {} (--force begins anew)",
                self.root.display()
            )
        })
    }

    fn score(&self, scenario: &str, python: &Path, began: Instant) -> Result<()> {
        let run = self.at(&format!("runs/{scenario}-accuracy"));
        let (data, problems) = (
            self.at("data/accuracy.parquet"),
            self.at("data/problems.jsonl"),
        );
        let text = run.join("accuracy.txt");
        let tokenizer = self.at("data");
        self.step(
            &format!("{scenario}-score"),
            &[
                &"score",
                &run,
                &"--dataset",
                &data,
                &"--tokenizer",
                &tokenizer,
                &"--lcb-problems",
                &problems,
                &"--python",
                &python,
                &"--accuracy-txt",
                &text,
                &"--log-hash",
            ],
            &[0],
            began,
        )?;
        Ok(())
    }

    fn submission(&self, args: &SubmissionRehearseArgs, began: Instant) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let source = format!("ossmark {version}, commit {}\n", env!("OSSMARK_GIT_REV"));
        output::write_whole(&self.at("harness/README.md"), source.as_bytes())?;
        let description = self.at("submission.toml");
        output::write_whole(&description, DESCRIPTION.as_bytes())?;
        let (tree, originals) = (self.at("tree"), self.at("originals"));
        let (json, packed) = (self.at("check.json"), self.at("Rehearsal.tar.zst"));
        let group = "submission";
        self.step(
            "build",
            &[
                &group,
                &"build",
                &description,
                &"--rehearsal",
                &"--output",
                &tree,
            ],
            &[0],
            began,
        )?;
        self.step(
            "truncate",
            &[
                &group,
                &"truncate",
                &tree,
                &"--submitter",
                &SUBMITTER,
                &"--backup",
                &originals,
            ],
            &[0],
            began,
        )?;
        let (reference, problems) = (
            self.at("data/accuracy.parquet"),
            self.at("data/problems.jsonl"),
        );
        let tokenizer = self.at("data");
        let mut check: Vec<&dyn AsRef<OsStr>> = vec![
            &group,
            &"check",
            &tree,
            &"--submitter",
            &SUBMITTER,
            &"--json",
            &json,
            &"--originals",
            &originals,
        ];
        // Scores of the whole logs once more take as long as the first time.
        if !args.short {
            check.extend::<[&dyn AsRef<OsStr>; 8]>([
                &"--dataset",
                &reference,
                &"--tokenizer",
                &tokenizer,
                &"--lcb-problems",
                &problems,
                &"--python",
                &args.python,
            ]);
        }
        // 1: the stamp of a rehearsal is an error, whatever else is right.
        self.step("check", &check, &[0, 1], began)?;
        self.step(
            "pack",
            &[
                &group,
                &"pack",
                &tree,
                &"--submitter",
                &SUBMITTER,
                &"--output",
                &packed,
            ],
            &[0],
            began,
        )?;
        self.step(
            "verify",
            &[&group, &"pack", &"--verify", &packed],
            &[0],
            began,
        )?;
        Ok(())
    }

    /// What is where, and whether the check found what it has to and nothing else.
    fn end(&self, args: &SubmissionRehearseArgs) -> Result<Outcome> {
        let text = ossmark_files::read(&self.at("check.json")).context("check.json")?;
        let report: Value = serde_json::from_slice(&text).context("check.json")?;
        let findings = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
        let expected = |finding: &&Value| {
            let rule = finding["rule"].as_str().unwrap_or_default();
            rule == "submission.rehearsal" || (args.short && rule == "performance.min-duration")
        };
        let others: Vec<&str> = findings
            .iter()
            .filter(|finding| !expected(finding))
            .filter_map(|finding| finding["rule"].as_str())
            .collect();
        let shown = args.output.display();
        say!("");
        say!("in {shown}:");
        for (name, what) in [
            (
                "runs/",
                "six runs: LoadGen's logs, plans, verdicts, records",
            ),
            (
                "audit/",
                "TEST07 and TEST09 of each scenario, with the ledgers of attempts",
            ),
            (
                "submission.toml",
                "the description that the tree is built from",
            ),
            ("tree/", "the submission, below closed/Rehearsal"),
            (
                "originals/",
                "the whole accuracy logs; the tree has their ends",
            ),
            ("check.json", "what `submission check` found"),
            ("Rehearsal.tar.zst", "the packed tree"),
            ("log/", "what each command said"),
        ] {
            say!("  {name:<18} {what}");
        }
        let duration = if args.short {
            " and that the runs were short"
        } else {
            ""
        };
        if others.is_empty() {
            say!("check found the stamp of a rehearsal{duration}, as it has to, and nothing else");
            return Ok(Outcome::Good);
        }
        say!(
            "check found more than the stamp of a rehearsal{duration}: {}",
            others.join(", ")
        );
        say!("see {shown}/log/check.txt");
        Ok(Outcome::NotGood)
    }
}
