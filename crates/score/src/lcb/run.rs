//! All candidates over all workers. One thread per worker; verdicts are handed over on the caller's thread as they come.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
    mpsc,
};

use super::{
    Candidate, LcbReport, Problems, Settings, Verdict, filter,
    layers::Layers,
    problems::Tests,
    process::Confined,
    python::Interpreter,
    session::{Graded, Session},
};
use crate::{Error, Result};

/// Grades every candidate once and calls `on_verdict` for each as it ends, in no particular order. Candidates of one problem
/// are run one after another, so that its tests are decoded once.
///
/// An error ends the run: no interpreter, no sandbox, a problem's tests that cannot be read, no worker to be started. What a
/// candidate does is never an error.
pub fn run(
    problems: &Problems,
    candidates: impl IntoIterator<Item = Candidate>,
    settings: &Settings,
    on_verdict: &mut dyn FnMut(Verdict),
) -> Result<LcbReport> {
    let mut waiting: Vec<Candidate> = candidates.into_iter().collect();
    waiting.sort_by(|a, b| (&a.question_id, a.key).cmp(&(&b.question_id, b.key)));
    let python = Interpreter::find(settings.python.as_deref())?;
    let place = tempfile::tempdir().map_err(|source| Error::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    let filter = filter::hex().unwrap_or_default();
    let cache = Cache {
        problems,
        last: Mutex::new(None),
    };
    let (next, stop, replaced) = (
        AtomicUsize::new(0),
        AtomicBool::new(false),
        AtomicUsize::new(0),
    );
    let (sender, verdicts) = mpsc::channel();
    let mut report = LcbReport {
        python: python.clone(),
        layers: Layers::default(),
        candidates: 0,
        passed: 0,
        own_equality: 0,
        runner_failures: 0,
        void: 0,
        workers_replaced: 0,
    };
    // The first worker is started before the others, so that a refusal comes before anything runs.
    let directory = place.path().join("0");
    let (first, layers) = start(&python, settings, &filter, &directory)?;
    if !layers.confined() && !settings.allow_unconfined {
        return Err(Error::Unconfined {
            inactive: layers.inactive(),
        });
    }
    report.layers = layers;
    let count = settings.workers.clamp(1, waiting.len().max(1));
    let directories: Vec<_> = (0..count)
        .map(|at| place.path().join(at.to_string()))
        .collect();
    let result = std::thread::scope(|scope| -> Result<()> {
        let mut first = Some(first);
        for directory in &directories {
            let session = first.take();
            let (sender, waiting, cache) = (sender.clone(), &waiting, &cache);
            let (next, stop, replaced) = (&next, &stop, &replaced);
            let (python, filter) = (&python, &filter);
            scope.spawn(move || {
                let work = || -> Result<()> {
                    let mut session = match session {
                        Some(session) => session,
                        None => start(python, settings, filter, directory)?.0,
                    };
                    while !stop.load(Ordering::Relaxed) {
                        let Some(candidate) = waiting.get(next.fetch_add(1, Ordering::Relaxed))
                        else {
                            break;
                        };
                        let verdict = grade(&mut session, cache, candidate)?;
                        if sender.send(Ok(verdict)).is_err() {
                            break;
                        }
                    }
                    replaced.fetch_add(session.started.saturating_sub(2), Ordering::Relaxed);
                    Ok(())
                };
                if let Err(error) = work() {
                    stop.store(true, Ordering::Relaxed);
                    let _ = sender.send(Err(error));
                }
            });
        }
        drop(sender);
        let mut failure = None;
        for verdict in verdicts {
            match verdict {
                Ok(verdict) => {
                    report.candidates += 1;
                    report.passed += usize::from(verdict.passed);
                    report.own_equality += usize::from(verdict.passed && verdict.own_equality);
                    report.void += usize::from(verdict.is_void);
                    let failed = verdict.error_code == Some(-5) && !verdict.is_void;
                    report.runner_failures += usize::from(failed);
                    on_verdict(verdict);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    });
    result?;
    report.workers_replaced = replaced.into_inner();
    Ok(report)
}

/// Which layers are active for workers here, without running a candidate.
pub fn probe(settings: &Settings) -> Result<(Interpreter, Layers)> {
    let python = Interpreter::find(settings.python.as_deref())?;
    let place = tempfile::tempdir().map_err(|source| Error::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    let filter = filter::hex().unwrap_or_default();
    let worker = Confined::start("worker", &python, settings, &filter, place.path())?;
    let layers = worker.layers.clone();
    Ok((python, layers))
}

fn start<'a>(
    python: &'a Interpreter,
    settings: &'a Settings,
    filter: &'a str,
    directory: &'a std::path::Path,
) -> Result<(Session<'a>, Layers)> {
    std::fs::create_dir(directory).map_err(|source| Error::Io {
        path: directory.to_owned(),
        source,
    })?;
    Session::start(python, settings, filter, directory)
}

/// The tests decoded last: candidates come sorted by problem.
struct Cache<'a> {
    problems: &'a Problems,
    last: Mutex<Option<(String, Arc<Tests>)>>,
}

impl Cache<'_> {
    fn tests(&self, id: &str) -> Result<Option<Arc<Tests>>> {
        let Some(problem) = self.problems.get(id) else {
            return Ok(None);
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((open, tests)) = &*last
            && open == id
        {
            return Ok(Some(Arc::clone(tests)));
        }
        let tests = Arc::new(self.problems.tests(problem)?);
        *last = Some((id.to_owned(), Arc::clone(&tests)));
        Ok(Some(tests))
    }
}

fn grade(session: &mut Session<'_>, cache: &Cache<'_>, candidate: &Candidate) -> Result<Verdict> {
    let id = &candidate.question_id;
    let unrun = |reason: String| Verdict {
        key: candidate.key,
        passed: false,
        reason,
        results: Vec::new(),
        error_code: None,
        message: None,
        own_equality: false,
        is_void: false,
    };
    if candidate.code.is_empty() || id.is_empty() {
        return Ok(unrun("No code or question_id provided".into()));
    }
    let Some(tests) = cache.tests(id)? else {
        return Ok(unrun(format!("Question ID '{id}' not found in benchmark")));
    };
    let graded: Graded = session.grade(id, &tests, &candidate.code)?;
    // No tests and no error passes, as in the reference.
    let passed = graded.results.iter().all(|r| r.passed());
    Ok(Verdict {
        key: candidate.key,
        passed,
        reason: match passed {
            true => "All tests passed".into(),
            false => "Failed one or more test cases".into(),
        },
        results: graded.results,
        error_code: graded.error_code,
        message: graded.message,
        own_equality: graded.own_equality,
        is_void: graded.is_void,
    })
}
