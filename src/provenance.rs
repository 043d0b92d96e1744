//! Where a result comes from: the program, its commit, the machine. Written into run_plan.json.

use serde::Serialize;

/// The program and the machine.
#[derive(Debug, Serialize)]
pub(crate) struct Provenance {
    pub(crate) version: &'static str,
    /// The commit that the binary was built from, or "unknown" outside a checkout.
    pub(crate) git_revision: &'static str,
    /// "true" when tracked files had been changed.
    pub(crate) git_dirty: &'static str,
    pub(crate) kernel: String,
    pub(crate) machine: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
}

/// Of this process.
pub(crate) fn provenance() -> Provenance {
    let uname = rustix::system::uname();
    let info = rustix::system::sysinfo();
    Provenance {
        version: env!("CARGO_PKG_VERSION"),
        git_revision: env!("OSSMARK_GIT_REV"),
        git_dirty: env!("OSSMARK_GIT_DIRTY"),
        kernel: format!(
            "{} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy()
        ),
        machine: uname.machine().to_string_lossy().into_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: info.totalram * u64::from(info.mem_unit),
    }
}
