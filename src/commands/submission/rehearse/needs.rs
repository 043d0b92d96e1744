//! What a rehearsal needs, looked at before it starts: twelve runs take eleven minutes, and their scores come after them.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ossmark_files::Escaped;
use ossmark_score::lcb::probe;

use crate::cli::SubmissionRehearseArgs;
use crate::commands::score;

/// What runs and originals occupy, with room to spare.
const DISK_BYTES: u64 = 1 << 30;

/// What was found, and what will be done.
pub(super) struct Needs {
    short: bool,
    shown: String,
    free_bytes: u64,
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, minutes) = match self.short {
            true => ("of 5 s at least", "2 to 3"),
            false => ("of 10 min at least", "15 to 20"),
        };
        write!(
            f,
            "rehearsal: 12 runs at once {least}, answered by a script;\n\
             then scores, tree, check, packed file: about {minutes} min in all\n\
             into {} (free: {} GiB); Python and its sandbox are ready",
            Escaped(&self.shown),
            self.free_bytes >> 30
        )
    }
}

/// Looks at what the later steps need.
///
/// # Errors
/// Something is missing: says what, and how to get it.
pub(super) fn look(args: &SubmissionRehearseArgs) -> Result<Needs> {
    let settings = score::sandbox(&args.python)?;
    let (_, layers) = probe(&settings).context(
        "the accuracy runs are scored with LiveCodeBench's programs, which Python 3.10 or later runs in a sandbox",
    )?;
    if !layers.confined() {
        bail!(
            "the sandbox for LiveCodeBench's programs does not confine them here ({}); `ossmark doctor` says what to allow",
            layers.inactive()
        );
    }
    // The directory may not be there yet.
    let there = args.output.ancestors().find(|dir| dir.is_dir());
    let there = there.unwrap_or(Path::new("."));
    let disk =
        rustix::fs::statvfs(there).with_context(|| format!("--output {}", there.display()))?;
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free_bytes < DISK_BYTES {
        bail!(
            "--output {}: found {} MiB free, expected {} MiB for runs and whole logs; give a directory on a larger disk",
            args.output.display(),
            free_bytes >> 20,
            DISK_BYTES >> 20
        );
    }
    Ok(Needs {
        short: args.short,
        shown: args.output.display().to_string(),
        free_bytes,
    })
}
