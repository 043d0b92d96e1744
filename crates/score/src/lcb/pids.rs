//! The number of threads in a worker's PID namespace, where the kernel has such a number per namespace.
//!
//! `kernel.pid_max` is the namespace's own since Linux 6.14. Before, it is the whole machine's, and the superuser may write it
//! from inside a namespace, too. So it is written only where the kernel's version says that it is the namespace's own, by the
//! process inside, and the process outside reads its own back before anything else happens.

use std::{fs, io, os::unix::fs::FileExt};

use nix::sys::utsname::uname;

const PID_MAX: &str = "/proc/sys/kernel/pid_max";
/// Pids (threads, too) in the namespace. RLIMIT_NPROC does not bound the superuser's.
const MAX_PIDS: &str = "1024";
/// Since when the number is the namespace's own.
const PER_NAMESPACE: (u32, u32) = (6, 14);
/// Since when RLIMIT_NPROC counts the tasks of a user namespace, and no longer all that the user has.
const COUNTED_PER_NAMESPACE: (u32, u32) = (5, 14);

/// The running kernel's version; 0.0 where it cannot be told, which is too old for everything.
fn kernel() -> (u32, u32) {
    let release = uname().ok().map(|u| u.release().to_os_string());
    release.map_or((0, 0), |r| version(&r.to_string_lossy()))
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

/// Whether a limit on the user's tasks concerns the namespace's tasks only.
pub(super) fn tasks_are_counted_per_namespace() -> bool {
    kernel() >= COUNTED_PER_NAMESPACE
}

/// The machine's own number, held open: by the time it is read back, the process outside may have no `/proc` any more.
pub(super) struct HostPidMax {
    file: fs::File,
    before: Vec<u8>,
}

impl HostPidMax {
    /// To be called outside; an error says why the process inside must not write.
    pub(super) fn open() -> Result<Self, String> {
        let (major, minor) = kernel();
        if (major, minor) < PER_NAMESPACE {
            let (since, dot) = PER_NAMESPACE;
            return Err(format!(
                "Linux {major}.{minor} has one pid_max for the whole machine, since {since}.{dot} namespaces have their own"
            ));
        }
        let open = || {
            let file = fs::File::options().read(true).write(true).open(PID_MAX)?;
            let before = number(&file)?;
            Ok(Self { file, before })
        };
        open().map_err(|e: io::Error| format!("{PID_MAX}: {e}"))
    }

    /// To be called after [`limit`]: an error, and the old number in its place again, when it was this one that changed.
    pub(super) fn unchanged(&self) -> io::Result<()> {
        let now = number(&self.file)?;
        if now == self.before || now != MAX_PIDS.as_bytes() {
            return Ok(());
        }
        self.file.write_all_at(&self.before, 0)?;
        Err(io::Error::other(format!(
            "{PID_MAX} was taken for the namespace's own and is the machine's; {} stands there again",
            String::from_utf8_lossy(&self.before)
        )))
    }
}

fn number(file: &fs::File) -> io::Result<Vec<u8>> {
    let mut text = [0; 32];
    let count = file.read_at(&mut text, 0)?;
    Ok(text[..count].trim_ascii().to_vec())
}

/// Inside, once [`HostPidMax::open`] has permitted it.
pub(super) fn limit() -> Result<(), String> {
    fs::write(PID_MAX, MAX_PIDS).map_err(|e| format!("{PID_MAX}: {e}"))?;
    match fs::read_to_string(PID_MAX) {
        Ok(text) if text.trim() == MAX_PIDS => Ok(()),
        Ok(text) => Err(format!("{PID_MAX} is still {}", text.trim())),
        Err(e) => Err(format!("{PID_MAX}: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (release, own) in [
            ("6.14.0", true),
            ("6.14-rc1", true),
            ("6.18.44-fc-v657", true),
            ("7.0", true),
            ("10.2.1", true),
            ("6.13.12-generic", false),
            ("6.9.3", false),
            ("6.8.0-1021-aws", false),
            ("5.15.0", false),
            ("5.140.1", false),
            ("2.6.78", false),
            ("6", false),
            ("", false),
            ("Linux", false),
            ("99999999999.1", false),
        ] {
            assert_eq!(version(release) >= PER_NAMESPACE, own, "{release}");
        }
    }
}
