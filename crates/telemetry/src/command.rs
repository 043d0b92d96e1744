//! `--power-command`: a program that prints watts.
//!
//! Every line is a reading: a number, and `W` behind it if it likes. A program that goes on is read as it prints; one that
//! ends with status 0 is started again for the next reading. What it measures is its own business, so one line is everything:
//! `nvidia-smi`, which prints a line for each GPU, needs a script that adds them up.
//!
//! It runs without a shell, without OSSMARK_API_KEY, with nothing to read, in a process group of its own. It must print a
//! line within [`LIMIT`], and no more than a reading's worth of text.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ossmark_files::{Brief, Escaped};
use ossmark_protocol::DeviceFigures;
use rustix::fs::{Access, OFlags};

use crate::Error;
use crate::group::Group;
use crate::reading::{Reading, SYSTEM_W};
use crate::source::{Round, Source, Stop, Trouble};

/// For a line to come. ipmitool takes a second or two.
const LIMIT: Duration = Duration::from_secs(10);
/// How often a program that runs is looked at; the moment of a reading is as exact.
const TICK: Duration = Duration::from_millis(50);
/// For a last line when the measurement ends, so that the window's end is covered.
const LAST: Duration = Duration::from_secs(2);
/// The longest line.
const MAX_LINE: usize = 256;
/// Text that it may print at once, and then by the second.
const MAX_BURST: f64 = (64 << 10) as f64;
const MAX_RATE: f64 = (4 << 10) as f64;
/// Of what it says on stderr.
const MAX_COMPLAINT: usize = 200;

/// A program and its arguments. Shows the program only: arguments may hold a password.
#[derive(Clone)]
pub struct PowerCommand {
    words: Vec<String>,
}

impl FromStr for PowerCommand {
    type Err = Error;

    /// Takes a line apart as a shell does, and nothing else that a shell does.
    ///
    /// # Errors
    ///
    /// [`Error::Command`] for what cannot be taken apart, [`Error::Program`] where there is no such program.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |what| Error::Command { what };
        if text.contains('\0') {
            return Err(bad("found a NUL character"));
        }
        let words = shlex::split(text)
            .ok_or(bad("found a quote that is not closed, or a \\ at the end"))?;
        match words.first() {
            None => Err(bad("found no program")),
            Some(program) => {
                find(program).map_err(|what| Error::Program {
                    program: program.clone(),
                    what,
                })?;
                Ok(Self { words })
            }
        }
    }
}

/// Looks for a program as `execvp` will.
fn find(program: &str) -> Result<(), &'static str> {
    let can_run = |path: &Path| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if program.contains('/') {
        let path = Path::new(program);
        return match (can_run(path), path.exists()) {
            (true, _) => Ok(()),
            (false, true) => Err("found no executable file"),
            (false, false) => Err("found no such file"),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).any(|folder| can_run(&folder.join(program))) {
        true => Ok(()),
        false => Err("found no such program on the PATH"),
    }
}

impl fmt::Display for PowerCommand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "--power-command {}", Brief(&self.words[0]))
    }
}

impl fmt::Debug for PowerCommand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PowerCommand({})", Brief(&self.words[0]))
    }
}

/// The program as a source.
pub(crate) struct Command {
    command: PowerCommand,
    stop: Arc<Stop>,
    interval: Duration,
    limit: Duration,
    last: Duration,
    running: Option<Running>,
    kept: Option<Instant>,
    stopped: Option<Instant>,
}

/// From its start to its end.
struct Running {
    group: Group,
    started: Instant,
    /// Since when a line is waited for.
    since: Instant,
    printed: usize,
    lines: u64,
    line: Vec<u8>,
    complaint: Vec<u8>,
}

impl Command {
    pub(crate) fn new(command: PowerCommand, stop: Arc<Stop>, interval: Duration) -> Self {
        Self {
            command,
            stop,
            interval,
            limit: LIMIT,
            last: LAST,
            running: None,
            kept: None,
            stopped: None,
        }
    }

    fn start(&self) -> Result<Running, String> {
        let mut command = std::process::Command::new(&self.command.words[0]);
        command
            .args(&self.command.words[1..])
            .env_remove("OSSMARK_API_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let group =
            Group::start(&mut command).map_err(|error| format!("cannot be started: {error}"))?;
        let now = Instant::now();
        for pipe in [
            group.child.stdout.as_ref().map(AsFd::as_fd),
            group.child.stderr.as_ref().map(AsFd::as_fd),
        ] {
            let pipe = pipe.ok_or("its output cannot be read")?;
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)
                .map_err(|error| format!("its output cannot be read: {error}"))?;
        }
        Ok(Running {
            group,
            started: now,
            since: now,
            printed: 0,
            lines: 0,
            line: Vec::new(),
            complaint: Vec::new(),
        })
    }

    /// The newest reading; `None` when the measurement ends, or the program did and is to be started again.
    fn next(&mut self) -> Result<Option<f64>, String> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        loop {
            // In this order: what it printed before it ended is read.
            let ended = running.group.has_ended();
            let mut watts = running.take_in()?;
            if ended {
                let rest = std::mem::take(&mut running.line);
                if !rest.trim_ascii().is_empty() {
                    watts = Some(watts_of(&rest));
                    running.lines += 1;
                }
                running.end()?;
                return watts.transpose();
            }
            if let Some(watts) = watts {
                self.running = Some(running);
                return watts.map(Some);
            }
            let waited = running.since.elapsed();
            if waited > self.limit {
                return Err(format!(
                    "printed no line within {} s",
                    self.limit.as_secs_f64()
                ));
            }
            if self.stop.wait(TICK) {
                let stopped = *self.stopped.get_or_insert_with(Instant::now);
                if stopped.elapsed() > self.last {
                    return match running.lines {
                        0 => Err(format!(
                            "printed no line in the {:.1} s that it ran",
                            waited.as_secs_f64()
                        )),
                        _ => Ok(None),
                    };
                }
                std::thread::sleep(TICK);
            }
        }
    }
}

impl Running {
    /// Reads what there is; the newest whole line, as a number.
    fn take_in(&mut self) -> Result<Option<Result<f64, String>>, String> {
        let mut piece = [0; 4096];
        // One piece a look: whoever complains without end waits.
        if let Some(stderr) = &mut self.group.child.stderr
            && let Ok(read @ 1..) = stderr.read(&mut piece)
        {
            let room = MAX_COMPLAINT.saturating_sub(self.complaint.len());
            self.complaint.extend_from_slice(&piece[..read.min(room)]);
        }
        let mut newest = None;
        while let Some(stdout) = &mut self.group.child.stdout {
            let read = match stdout.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("its output cannot be read: {error}")),
            };
            self.printed += read;
            let allowed = MAX_BURST + MAX_RATE * self.started.elapsed().as_secs_f64();
            if self.printed as f64 > allowed {
                return Err(
                    "prints more than 4 KiB a second, expected a line for each reading".into(),
                );
            }
            for byte in &piece[..read] {
                match byte {
                    b'\n' => {
                        if !self.line.trim_ascii().is_empty() {
                            newest = Some(watts_of(&self.line));
                            self.lines += 1;
                            self.since = Instant::now();
                        }
                        self.line.clear();
                    }
                    byte => self.line.push(*byte),
                }
                if self.line.len() > MAX_LINE {
                    return Err(format!(
                        "printed a line of more than {MAX_LINE} bytes, expected a number of watts"
                    ));
                }
            }
        }
        Ok(newest)
    }

    /// Once its first process has ended: ends the rest of it, and says what was wrong with the end.
    fn end(self) -> Result<(), String> {
        let complaint = String::from_utf8_lossy(&self.complaint);
        let complaint = match complaint.trim() {
            "" => String::new(),
            said => format!(": {}", Escaped(said)),
        };
        let lines = self.lines;
        match self.group.end() {
            Some(status) if status.success() && lines > 0 => Ok(()),
            Some(status) if status.success() => {
                Err(format!("ended without printing a line{complaint}"))
            }
            Some(status) => Err(format!("ended with {status}{complaint}")),
            None => Err("ended and cannot be reaped".into()),
        }
    }
}

/// The number on a line.
fn watts_of(line: &[u8]) -> Result<f64, String> {
    let text = str::from_utf8(line)
        .unwrap_or("bytes that are no text")
        .trim();
    let number = text.strip_suffix(['W', 'w']).unwrap_or(text).trim_end();
    let watts = number.parse::<f64>();
    watts.map_err(|_| format!("printed {}, expected a number of watts", Brief(text)))
}

impl Source for Command {
    fn read(&mut self) -> Result<Round, Trouble> {
        let watts = self.next().map_err(Trouble::Fault)?;
        // A reading that is not fresh is left: the program prints more often than anybody asks.
        let due = self
            .kept
            .is_none_or(|kept| kept.elapsed() >= self.interval / 2);
        let due = due || self.stopped.is_some();
        let readings = watts.filter(|_| due).map(|watts| {
            self.kept = Some(Instant::now());
            Reading {
                figures: DeviceFigures {
                    power_w: Some(watts),
                    ..DeviceFigures::default()
                },
                ..Reading::default()
            }
        });
        Ok(Round {
            readings: readings.into_iter().collect(),
            faults: Vec::new(),
        })
    }

    fn pause(&self, interval: Duration) -> Duration {
        match self.running {
            Some(_) => TICK,
            None => interval,
        }
    }

    fn has_last_word(&self) -> bool {
        self.stopped.is_none()
    }

    fn most_w(&self) -> f64 {
        SYSTEM_W
    }
}

#[cfg(test)]
mod tests;
