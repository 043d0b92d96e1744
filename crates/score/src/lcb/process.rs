//! A confined Python process, seen from the scorer: started, talked to in frames, killed. Owned by one scoring thread.

use std::{
    io::{self, IoSlice, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use ossmark_files::Escaped;
use serde::Deserialize;
use serde_json::json;

use super::{
    Settings, layers::Layers, python::Interpreter, scratch::Scratch, spec::ConfinementSpec,
};
use crate::{Error, Result};

/// Python with numpy from a slow disk; the worker imports everything before it answers.
const START: Duration = Duration::from_secs(120);

/// Why no frame came.
#[derive(Debug)]
pub(super) enum FrameError {
    /// The other end is closed or broken.
    Gone,
    /// The deadline has passed.
    Late,
    /// It announced more bytes than are taken.
    TooLong,
}

/// One end of a stream of frames: u32 length in little endian, bytes.
pub(super) struct Frames(UnixStream);

impl Frames {
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), theirs.into()))
    }

    pub(super) fn send(&mut self, parts: &[&[u8]], deadline: Instant) -> Result<(), FrameError> {
        let length = parts.iter().map(|p| p.len()).sum::<usize>();
        let length = u32::try_from(length).map_err(|_| FrameError::TooLong)?;
        // One write for small frames: each costs a switch to the other process.
        let mut head = length.to_le_bytes().to_vec();
        for part in parts {
            if head.len() + part.len() <= 1 << 16 {
                head.extend_from_slice(part);
            } else {
                self.write(&head, deadline)?;
                head.clear();
                self.write(part, deadline)?;
            }
        }
        self.write(&head, deadline)
    }

    pub(super) fn receive(
        &mut self,
        deadline: Instant,
        limit: usize,
    ) -> Result<Vec<u8>, FrameError> {
        let mut length = [0; 4];
        self.read(&mut length, deadline)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > limit {
            return Err(FrameError::TooLong);
        }
        // Grows as bytes come: an announced length costs nothing.
        let mut payload = Vec::new();
        while payload.len() < length {
            let start = payload.len();
            payload.resize((start + (1 << 20)).min(length), 0);
            self.read(&mut payload[start..], deadline)?;
        }
        Ok(payload)
    }

    fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let left = left(deadline)?;
            self.0
                .set_write_timeout(Some(left))
                .map_err(|_| FrameError::Gone)?;
            match self.0.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(e) => retry_if_timed_out(&e)?,
            }
        }
        Ok(())
    }

    fn read(&mut self, mut buffer: &mut [u8], deadline: Instant) -> Result<(), FrameError> {
        while !buffer.is_empty() {
            let left = left(deadline)?;
            self.0
                .set_read_timeout(Some(left))
                .map_err(|_| FrameError::Gone)?;
            match self.0.read(buffer) {
                Ok(0) => return Err(FrameError::Gone),
                Ok(count) => buffer = &mut buffer[count..],
                Err(e) => retry_if_timed_out(&e)?,
            }
        }
        Ok(())
    }
}

fn left(deadline: Instant) -> Result<Duration, FrameError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(FrameError::Late)
    } else {
        Ok(left)
    }
}

/// A timed-out wait is tried again, so that the deadline itself decides.
fn retry_if_timed_out(error: &io::Error) -> Result<(), FrameError> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match error.kind() {
        Interrupted | TimedOut | WouldBlock => Ok(()),
        _ => Err(FrameError::Gone),
    }
}

/// What the interpreter says once it is locked in.
#[derive(Deserialize)]
struct Ready {
    layers: Layers,
    numpy: Option<String>,
    no_numpy: String,
}

/// A worker or a judge. Dropping it kills it and all that it started.
pub(super) struct Confined {
    child: Child,
    pub(super) frames: Frames,
    pub(super) layers: Layers,
    /// Where candidates write to while there is no root of their own.
    scratch: Scratch,
}

impl Confined {
    pub(super) fn start(
        role: &str,
        python: &Interpreter,
        settings: &Settings,
        filter: &str,
        directory: &Path,
    ) -> Result<Self> {
        let fail = |what: String| Error::Sandbox { what };
        let io = |e: io::Error| fail(format!("no {role} could be started: {e}"));
        let spec = ConfinementSpec {
            role: role.into(),
            python: python.executable.clone(),
            paths: python.paths.clone(),
            directory: directory.to_owned(),
            memory_bytes: settings.memory_bytes,
            layers: Layers::default(),
            inside: None,
        };
        let (program, arguments) = settings.helper.split_first().ok_or_else(|| {
            fail("no helper command is set, expected the one that calls `confine`".into())
        })?;
        let (frames, theirs) = Frames::pair().map_err(io)?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(serde_json::to_string(&spec).map_err(|e| fail(e.to_string()))?)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(io)?;
        let stderr = child.stderr.take();
        let mut this = Self {
            child,
            frames,
            layers: Layers::default(),
            scratch: Scratch::new(directory),
        };
        let deadline = Instant::now() + START;
        let config = json!({ "filter": filter }).to_string();
        let ready = this
            .frames
            .send(&[config.as_bytes()], deadline)
            .and_then(|()| this.frames.receive(deadline, 1 << 16));
        let Ok(ready) = ready else {
            let _ = this.child.kill();
            let mut text = String::new();
            // The end of what it said; a traceback's last line is the message.
            let _ = stderr.map(|pipe| pipe.take(1 << 16).read_to_string(&mut text));
            let last = text
                .trim()
                .lines()
                .last()
                .unwrap_or("it wrote nothing")
                .to_owned();
            return Err(fail(format!("the {role} did not start: {last}")));
        };
        let ready: Ready = serde_json::from_slice(&ready)
            .map_err(|e| fail(format!("the {role} did not say what confines it: {e}")))?;
        if ready.numpy != python.numpy {
            // Verdicts would depend on the layers.
            let name = |found: &Option<String>| found.clone().unwrap_or_else(|| "none".into());
            return Err(fail(format!(
                "{} has numpy {} outside the sandbox and {} inside ({}); expected the same; use an interpreter whose libraries \
                 lie in its own or the system's directories",
                python.executable.display(),
                name(&python.numpy),
                name(&ready.numpy),
                Escaped(ready.no_numpy),
            )));
        }
        this.layers = ready.layers;
        Ok(this)
    }

    /// Hands a candidate's socket to the worker.
    pub(super) fn start_candidate(&mut self, channel: OwnedFd) -> Result<(), FrameError> {
        if !self.layers.own_root {
            self.scratch.make().map_err(|_| FrameError::Gone)?;
        }
        let descriptors = [channel.as_raw_fd()];
        sendmsg::<()>(
            self.frames.0.as_raw_fd(),
            &[IoSlice::new(b"R")],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .map(|_| ())
        .map_err(|_| FrameError::Gone)
    }

    /// Has the candidate killed, if it has not ended, and waits until all of it is gone. [`FrameError::Gone`] only when the
    /// worker is.
    pub(super) fn end_candidate(&mut self) -> Result<(), FrameError> {
        let deadline = Instant::now() + Duration::from_secs(20);
        self.frames.write(b"K", deadline)?;
        let mut answer = [0];
        self.frames.read(&mut answer, deadline)?;
        self.scratch.remove().map_err(|_| FrameError::Late)
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _ = self.frames.0.shutdown(std::net::Shutdown::Both);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.scratch.remove();
    }
}
