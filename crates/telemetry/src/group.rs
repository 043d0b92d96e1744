//! A program in a process group of its own, which is ended with everything that it started.
//!
//! What leaves the group on purpose (setsid) is not found again. Nor can this end anything when this process is killed with
//! SIGKILL; a program that goes on printing then ends by SIGPIPE.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Between SIGTERM and SIGKILL: time to put a meter's connection away.
const GRACE: Duration = Duration::from_millis(500);
/// For a killed process to be gone; longer takes only one that hangs within the system.
const GONE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(5);

/// The groups that run now.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Kills what `--power-command` has running. For ways out that do not come past [`crate::Telemetry`]'s end: a signal, `_exit`.
pub fn end_commands() {
    for group in groups().iter() {
        let _ = kill_process_group(*group, Signal::KILL);
    }
}

fn groups() -> MutexGuard<'static, Vec<Pid>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends at its drop.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) child: Child,
    /// Of its first process, and of the group.
    pid: Pid,
}

impl Group {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut groups = groups();
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        groups.push(pid);
        Ok(Self { child, pid })
    }

    /// Whether its first process has ended. It is not reaped yet, so that the group's number goes to nobody else.
    pub(crate) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Ends all of it; how its first process ended, unless that hangs.
    pub(crate) fn end(mut self) -> Option<ExitStatus> {
        self.finish()
    }

    fn finish(&mut self) -> Option<ExitStatus> {
        if !groups().contains(&self.pid) {
            return None;
        }
        if !self.has_ended() {
            let _ = kill_process_group(self.pid, Signal::TERM);
            self.wait(GRACE);
        }
        // Its children, whether it has ended or not.
        let _ = kill_process_group(self.pid, Signal::KILL);
        self.wait(GONE);
        // Before it is reaped, so that nobody kills a stranger by its number.
        groups().retain(|group| *group != self.pid);
        match self.has_ended() {
            true => self.child.wait().ok(),
            false => None,
        }
    }

    fn wait(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.has_ended() && Instant::now() < end {
            std::thread::sleep(TICK);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.finish();
    }
}
