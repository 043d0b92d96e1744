//! Programs that answers hold, run and graded: LiveCodeBench's share of a log. Owns: which programs still have to run, and
//! keeping their verdicts while the others do. Does not own: running them (`lcb`).

use std::path::Path;

use serde_json::json;

use crate::{
    Answers, Error, Result,
    grade::Extracted,
    lcb::{self, Candidate, LcbReport, Problems, Settings},
    resume::{Partial, SavedVerdict},
};

/// What is to be run, and what was run before.
pub struct CodeRun<'a> {
    /// The benchmark's problems.
    pub problems: &'a Problems,
    /// How programs are run.
    pub settings: &'a Settings,
    /// Where verdicts are kept until all are there.
    pub partial: Option<&'a Path>,
}

/// How far the programs are.
#[derive(Clone, Copy, Debug)]
pub struct CodeProgress {
    /// Programs with a verdict.
    pub done: usize,
    /// All programs.
    pub total: usize,
    /// Of those, verdicts that an earlier run had left.
    pub resumed: usize,
}

impl CodeRun<'_> {
    /// Runs every program of `answers` and writes the verdicts into them. None when no program had to be run.
    ///
    /// # Errors
    /// When programs cannot be run at all, or verdicts cannot be kept.
    pub fn run(
        &self,
        answers: &mut Answers,
        mut on_progress: impl FnMut(CodeProgress),
    ) -> Result<Option<LcbReport>> {
        let total = answers.programs.len();
        let mut partial = match self.partial {
            None => None,
            Some(path) => Some(Partial::open(path, &self.depends_on())?),
        };
        let programs = std::mem::take(&mut answers.programs);
        let mut left = Vec::new();
        for (key, program) in programs.iter().enumerate() {
            let answer = &mut answers.answers[program.answer];
            let Extracted::Text(code) = &answer.extracted else {
                continue;
            };
            match partial
                .as_mut()
                .and_then(|p| p.take(&program.question_id, code))
            {
                Some(kept) => (answer.correct, answer.reason) = (kept.passed, kept.reason),
                None => left.push(Candidate {
                    key,
                    question_id: program.question_id.clone(),
                    code: code.clone(),
                }),
            }
        }
        let resumed = total - left.len();
        let mut done = resumed;
        on_progress(CodeProgress {
            done,
            total,
            resumed,
        });
        if left.is_empty() {
            return Ok(None);
        }
        let mut failed: Option<Error> = None;
        let report = lcb::run(self.problems, left, self.settings, &mut |verdict| {
            let program = &programs[verdict.key];
            let answer = &mut answers.answers[program.answer];
            // What has no verdict is run again by whoever goes on from here.
            if let (Some(partial), Extracted::Text(code), false) =
                (&mut partial, &answer.extracted, verdict.is_void)
            {
                let kept =
                    SavedVerdict::new(&program.question_id, code, verdict.passed, &verdict.reason);
                if let Err(error) = partial.keep(&kept) {
                    failed.get_or_insert(error);
                }
            }
            answer.correct = verdict.passed;
            answer.reason = verdict.reason;
            done += 1;
            on_progress(CodeProgress {
                done,
                total,
                resumed,
            });
        })?;
        note(answers, &report);
        match failed {
            Some(error) => Err(error),
            None => Ok(Some(report)),
        }
    }

    fn depends_on(&self) -> serde_json::Value {
        json!({
            "timeout_s": self.settings.timeout_s,
            "time_limit": format!("{:?}", self.settings.time_limit),
            "memory_bytes": self.settings.memory_bytes,
            "python": self.settings.python,
            "problems": self.problems.len(),
        })
    }
}

/// What about the runs an auditor should know.
fn note(answers: &mut Answers, report: &LcbReport) {
    let interpreter = || report.python.executable.display().to_string();
    let findings = &mut answers.findings;
    if report.python.numpy.is_none() {
        findings.add("no_numpy", NO_NUMPY, interpreter);
    }
    let inactive: Vec<&str> = report
        .layers
        .list()
        .into_iter()
        .filter_map(|(name, active)| (!active).then_some(name))
        .collect();
    findings.add_many("sandbox_layers", INACTIVE, inactive.len() as u64, || {
        inactive.join(", ")
    });
    findings.add_many(
        "own_equality",
        OWN_EQUALITY,
        report.own_equality as u64,
        interpreter,
    );
    findings.add_many(
        "runner_failure",
        RUNNER_FAILURE,
        report.runner_failures as u64,
        interpreter,
    );
    findings.add_many("void_program", VOID, report.void as u64, interpreter);
}

const NO_NUMPY: &str = "numpy is missing: answers that import it count as wrong (the official scorer has it). Fix: pip install numpy, or name an \
     interpreter that has it with --python";
const INACTIVE: &str = "layers of the sandbox are not active on this machine";
const OWN_EQUALITY: &str = "programs passed because an object of their own class reported that it equals the expected value, as the reference lets them";
const VOID: &str = "programs count as wrong without having been judged: their worker was ended from outside twice, by the kernel for \
     want of memory perhaps; score again, with fewer --workers";
const RUNNER_FAILURE: &str =
    "programs ended their process without a result: wrong, as in the reference";
