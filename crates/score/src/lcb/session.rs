//! One candidate from program to result list: a worker that runs it, a judge that compares. Owned by one scoring thread.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::json;

use super::{
    ResultCode, Settings, TimeLimit,
    layers::Layers,
    problems::Tests,
    process::{Confined, FrameError, Frames},
    python::Interpreter,
};
use crate::Result;

/// For reading a problem's expected outputs, which nobody has forged.
const OPEN: Duration = Duration::from_secs(300);
/// An answer, printed or returned, may be this much longer than the expected one before it counts as wrong unread.
const EXCESS: usize = 64 << 20;

/// The result list and what explains it.
#[derive(Debug, Default)]
pub(super) struct Graded {
    pub(super) results: Vec<ResultCode>,
    pub(super) error_code: Option<i32>,
    pub(super) message: Option<String>,
    pub(super) own_equality: bool,
    /// The program's process was gone before it had said all.
    is_cut_off: bool,
    /// There is no verdict, through no fault of the program's.
    pub(super) is_void: bool,
}

impl Graded {
    /// The reference's sole entry, whatever came before.
    fn sole(entry: i64, error_code: i32, message: impl Into<String>) -> Self {
        Self {
            results: vec![ResultCode::Code(entry)],
            error_code: Some(error_code),
            message: Some(message.into()),
            own_equality: false,
            is_cut_off: false,
            is_void: false,
        }
    }

    /// The program's process is gone: its own doing, unless the worker is gone as well.
    fn cut_off(why: &str) -> Self {
        Self {
            is_cut_off: true,
            ..Self::runner_failure(why)
        }
    }

    fn runner_failure(why: &str) -> Self {
        Self::sole(-2, -5, format!("TestRunnerError: {why}"))
    }

    fn end(mut self, error_code: i32, message: String) -> Self {
        self.error_code = Some(error_code);
        self.message = Some(message);
        self
    }
}

/// What the judge, or an object of the candidate's, says about a test.
#[derive(Deserialize)]
struct Judgement {
    #[serde(default)]
    append: Vec<ResultCode>,
    /// Why the tests end here; none when they go on.
    message: Option<String>,
    /// Ends everything with the sole entry -4.
    whole: Option<String>,
    /// Ends everything with a runner failure.
    runner: Option<String>,
}

/// A warm worker with its judge.
pub(super) struct Session<'a> {
    python: &'a Interpreter,
    settings: &'a Settings,
    filter: &'a str,
    directory: &'a Path,
    worker: Option<Confined>,
    judge: Option<Confined>,
    /// The problem whose expected outputs the judge holds, and its error if they are not JSON.
    open: Option<(String, Option<String>)>,
    /// Workers and judges started.
    pub(super) started: usize,
}

/// The judge has gone, or is late.
struct JudgeError {
    late: bool,
}

impl From<FrameError> for JudgeError {
    fn from(error: FrameError) -> Self {
        let late = matches!(error, FrameError::Late);
        Self { late }
    }
}

enum Attempt {
    Graded(Graded),
    /// There is no verdict, through no fault of the candidate's: why.
    Void(&'static str),
}

impl<'a> Session<'a> {
    pub(super) fn start(
        python: &'a Interpreter,
        settings: &'a Settings,
        filter: &'a str,
        directory: &'a Path,
    ) -> Result<(Self, Layers)> {
        let mut session = Self {
            python,
            settings,
            filter,
            directory,
            worker: None,
            judge: None,
            open: None,
            started: 0,
        };
        session.restart()?;
        let layers = session.worker.as_ref().map(|w| w.layers.clone());
        Ok((session, layers.unwrap_or_default()))
    }

    fn restart(&mut self) -> Result<()> {
        for (role, place) in [("worker", &mut self.worker), ("judge", &mut self.judge)] {
            if place.is_none() {
                let directory = self.directory.join(format!("{role}{}", self.started));
                std::fs::create_dir(&directory).map_err(|source| crate::Error::Io {
                    path: directory.clone(),
                    source,
                })?;
                let process =
                    Confined::start(role, self.python, self.settings, self.filter, &directory)?;
                *place = Some(process);
                self.started += 1;
            }
        }
        Ok(())
    }

    /// Always ends, whatever the candidate does; an error means that no worker can be started.
    pub(super) fn grade(&mut self, id: &str, tests: &Tests, code: &str) -> Result<Graded> {
        match self.attempt(id, tests, code)? {
            Attempt::Graded(graded) => Ok(graded),
            Attempt::Void(_) => match self.attempt(id, tests, code)? {
                Attempt::Graded(graded) => Ok(graded),
                Attempt::Void(why) => Ok(Graded {
                    is_void: true,
                    ..Graded::runner_failure(&format!("{why}, twice"))
                }),
            },
        }
    }

    fn attempt(&mut self, id: &str, tests: &Tests, code: &str) -> Result<Attempt> {
        self.restart()?;
        let broken = match self.open(id, tests) {
            Ok(broken) => broken,
            Err(JudgeError { .. }) => {
                self.give_up_judge();
                return Ok(Attempt::Void("the judge ended"));
            }
        };
        let started = match &mut self.worker {
            Some(worker) => Frames::pair()
                .map_err(|_| FrameError::Gone)
                .and_then(|(channel, theirs)| worker.start_candidate(theirs).map(|()| channel)),
            None => Err(FrameError::Gone),
        };
        let attempt = match started {
            Ok(mut channel) => self.follow(tests, code, &mut channel, broken.as_deref()),
            Err(_) => Ok(Attempt::Void("the worker ended before the program began")),
        };
        // Killed also when all is well: its threads may still run.
        let end = self.worker.as_mut().map(Confined::end_candidate);
        if !matches!(end, Some(Ok(()))) {
            self.worker = None;
        }
        match attempt {
            // The kernel for want of memory, or somebody else, ended the worker, and its programs end with it.
            Ok(Attempt::Graded(graded))
                if graded.is_cut_off && matches!(end, Some(Err(FrameError::Gone))) =>
            {
                Ok(Attempt::Void("the worker was killed while the program ran"))
            }
            attempt => attempt,
        }
    }

    fn give_up_judge(&mut self) {
        self.judge = None;
        self.open = None;
    }

    /// Hands the job over and reads what the candidate's process sends until a verdict is certain.
    fn follow(
        &mut self,
        tests: &Tests,
        code: &str,
        channel: &mut Frames,
        broken: Option<&str>,
    ) -> Result<Attempt> {
        let deadline = Instant::now() + self.limit(tests.outputs.len());
        let job = json!({
            "fn_name": tests.fn_name,
            "timeout": self.settings.timeout_s,
            "cpu": self.settings.time_limit == TimeLimit::Cpu,
        })
        .to_string();
        let parts = [job.as_bytes(), code.as_bytes(), &tests.inputs];
        let begun = parts
            .into_iter()
            .try_for_each(|part| channel.send(&[part], deadline))
            .and_then(|()| channel.receive(deadline, 1));
        match begun.as_deref() {
            Ok(b"B") => {}
            Err(FrameError::Late) => {
                let graded = Graded::runner_failure("killed at the global time limit");
                return Ok(Attempt::Graded(graded));
            }
            _ => {
                return Ok(Attempt::Void("the candidate's process took no job"));
            }
        }
        self.listen(tests, channel, broken, deadline)
            .map(Attempt::Graded)
    }

    fn listen(
        &mut self,
        tests: &Tests,
        channel: &mut Frames,
        broken: Option<&str>,
        deadline: Instant,
    ) -> Result<Graded> {
        let call = tests.fn_name.is_some();
        let mut graded = Graded::default();
        let mut loaded = !call;
        // The first test without a verdict.
        let mut test = 0;
        loop {
            let expected = tests.outputs.get(test);
            let limit = EXCESS + expected.map_or(0, |e| 4 * e.get().len());
            let frame = match channel.receive(deadline, limit) {
                Ok(frame) => frame,
                Err(FrameError::Gone) => {
                    return Ok(Graded::cut_off(
                        "the candidate's process ended without a result",
                    ));
                }
                Err(FrameError::Late) => {
                    return Ok(Graded::runner_failure("killed at the global time limit"));
                }
                Err(FrameError::TooLong) => {
                    graded.results.push(wrong(call));
                    return Ok(graded.end(-2, format!("Wrong answer: more than {limit} bytes")));
                }
            };
            let (&kind, body) = frame.split_first().unwrap_or((&0, &[]));
            let judgement = match (kind, expected) {
                (b'L', _) if !loaded => {
                    if let Some(message) = broken {
                        return Ok(Graded::sole(-4, -4, message));
                    }
                    loaded = true;
                    continue;
                }
                (b'E', _) => return Ok(Graded::sole(-4, -4, text(body))),
                (b'D', None) if loaded && body.is_empty() => return Ok(graded),
                (b'X', Some(_)) if loaded && body.len() >= 4 => {
                    let time = body[..4] == (-3i32).to_le_bytes();
                    let code = if time { -3 } else { -4 };
                    graded.results.push(ResultCode::Code(code.into()));
                    return Ok(graded.end(code, text(&body[4..])));
                }
                (b'O', Some(expected)) if !call => {
                    if same_text(expected.get(), body) {
                        graded.results.push(ResultCode::Bool(true));
                        test += 1;
                        continue;
                    }
                    self.ask(b's', tests, test, body)?
                }
                (b'V', Some(_)) if call && loaded => self.ask(b'c', tests, test, body)?,
                (b'Q', Some(expected)) if call && loaded => {
                    let answer = channel
                        .send(&[expected.get().as_bytes()], deadline)
                        .and_then(|()| channel.receive(deadline, 1 << 16));
                    match answer.as_deref() {
                        Ok([b'R', body @ ..]) => match serde_json::from_slice::<Judgement>(body) {
                            // What comparing said, and a failure to compare after it.
                            Ok(mut own) if (1..=2).contains(&own.append.len()) => {
                                graded.own_equality |= own.append[0].passed();
                                own.message = own.message.map(|m| text(m.as_bytes()));
                                own
                            }
                            _ => return Ok(Graded::runner_failure("no message of the runner's")),
                        },
                        Ok([b'X', body @ ..]) if body.len() >= 4 => {
                            graded.results.push(ResultCode::Code(-4));
                            return Ok(graded.end(-4, text(&body[4..])));
                        }
                        Ok(_) | Err(FrameError::TooLong) => {
                            return Ok(Graded::runner_failure("no message of the runner's"));
                        }
                        Err(FrameError::Late) => {
                            return Ok(Graded::runner_failure("killed at the global time limit"));
                        }
                        Err(FrameError::Gone) => {
                            return Ok(Graded::cut_off("ended while it compared"));
                        }
                    }
                }
                _ => return Ok(Graded::runner_failure("no message of the runner's")),
            };
            if let Some(message) = judgement.whole {
                return Ok(Graded::sole(-4, -4, message));
            }
            if let Some(why) = judgement.runner {
                return Ok(Graded::runner_failure(&why));
            }
            let last = judgement.append.last().copied();
            graded.results.extend(judgement.append);
            if let Some(message) = judgement.message {
                let code = if last == Some(ResultCode::Code(-4)) {
                    -4
                } else {
                    -2
                };
                return Ok(graded.end(code, message));
            }
            test += 1;
        }
    }

    /// (t + 1) seconds a test and 5 more, as in the reference; a CPU limit has four times the wall-clock time (`TimeLimit`).
    fn limit(&self, tests: usize) -> Duration {
        let per_test = match self.settings.time_limit {
            TimeLimit::Wall => self.settings.timeout_s,
            TimeLimit::Cpu => self.settings.timeout_s.saturating_mul(4),
        };
        let seconds = per_test
            .saturating_add(1)
            .saturating_mul(tests as u64)
            .saturating_add(5);
        // A century: beyond it an Instant may overflow.
        Duration::from_secs(seconds.min(100 * 365 * 86_400))
    }

    /// Gives the judge the problem's expected outputs, unless it has them; returns what is wrong with them.
    fn open(&mut self, id: &str, tests: &Tests) -> Result<Option<String>, JudgeError> {
        if let Some((open, broken)) = &self.open
            && open == id
        {
            return Ok(broken.clone());
        }
        self.open = None;
        let kind: &[u8] = if tests.fn_name.is_some() {
            b"oc"
        } else {
            b"os"
        };
        let mut outputs = Vec::new();
        for (at, output) in tests.outputs.iter().enumerate() {
            outputs.push(if at == 0 { b'[' } else { b',' });
            outputs.extend_from_slice(output.get().as_bytes());
        }
        outputs.extend_from_slice(if outputs.is_empty() { b"[]" } else { b"]" });
        let answer = self.exchange(&[kind, &outputs], OPEN)?;
        self.open = Some((id.to_owned(), answer.whole.clone()));
        Ok(answer.whole)
    }

    /// The judge's word on an answer, which may have been made to be hard to read or to compare: it has a test's time for it. A
    /// judge that takes longer, or ends over the same answer twice, is given up, and the answer is wrong. An error means that
    /// no other judge can be started.
    fn ask(&mut self, kind: u8, tests: &Tests, test: usize, body: &[u8]) -> Result<Judgement> {
        let id = self.open.as_ref().map(|(id, _)| id.clone());
        let number = u32::try_from(test).unwrap_or(u32::MAX).to_le_bytes();
        let limit = Duration::from_secs(self.settings.timeout_s);
        for last in [false, true] {
            let failure = match self.exchange(&[&[kind], &number, body], limit) {
                Ok(judgement) => return Ok(judgement),
                Err(failure) => failure,
            };
            self.give_up_judge();
            if failure.late || last {
                break;
            }
            // It may have been ended by somebody else.
            self.restart()?;
            if self.open(id.as_deref().unwrap_or_default(), tests).is_err() {
                self.give_up_judge();
                break;
            }
        }
        Ok(Judgement {
            append: vec![wrong(kind == b'c')],
            message: Some(format!(
                "Wrong answer: it could not be compared in {} s",
                limit.as_secs()
            )),
            whole: None,
            runner: None,
        })
    }

    fn exchange(&mut self, parts: &[&[u8]], limit: Duration) -> Result<Judgement, JudgeError> {
        let gone = JudgeError { late: false };
        let judge = self.judge.as_mut().ok_or(gone)?;
        let deadline = Instant::now() + limit;
        judge.frames.send(parts, deadline)?;
        let answer = judge.frames.receive(deadline, 1 << 20)?;
        serde_json::from_slice(&answer).map_err(|_| JudgeError { late: false })
    }
}

/// What a wrong answer appends to the result list of a call-based problem, or of one that prints (SPEC §6.4, §7.5).
fn wrong(call: bool) -> ResultCode {
    match call {
        true => ResultCode::Bool(false),
        false => ResultCode::Code(-2),
    }
}

/// Whether the judge would find no difference because there is none; most tests of most candidates end here. Stripping less
/// than Python's `strip` does can only send equal texts to the judge.
fn same_text(expected: &str, printed: &[u8]) -> bool {
    serde_json::from_str::<std::borrow::Cow<'_, str>>(expected)
        .is_ok_and(|text| text.trim_ascii().as_bytes() == printed.trim_ascii())
}

fn text(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(2000)];
    String::from_utf8_lossy(cut).into_owned()
}
