//! The interpreter: which one, how old, and what on disk belongs to it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Prints what `Interpreter` holds. Mapped libraries tell where the dynamic linker looks. Not the whole of `sys.prefix`: that
/// may be a directory with much else in it, as `/usr` is, or the user's home. Nor all of `/tmp`, where candidates write.
const ASK: &str = r#"
import json, os, sys
try:
    import numpy
    version = numpy.__version__
except Exception:
    version = None
try:
    import ctypes, decimal, ssl, sqlite3, zlib
except Exception:
    pass
own = {p for p in sys.path if os.path.isabs(p)} | {os.path.dirname(os.__file__)}
own |= {sys.executable, os.path.realpath(sys.executable), sys.prefix + "/pyvenv.cfg"}
try:
    mapped = {l.split(None, 5)[5].strip() for l in open("/proc/self/maps") if l.count("/") and ".so" in l}
except OSError:
    mapped = set()
broad = {"/", "/tmp", os.path.realpath("/tmp")}
libraries = {l if os.path.dirname(l) in broad else os.path.dirname(l) for l in mapped}
libraries |= {"/lib", "/lib64", "/usr/lib", "/usr/lib64"}
print(json.dumps({"version": ".".join(map(str, sys.version_info[:3])), "executable": sys.executable, "numpy": version,
    "paths": sorted(p for p in (own | libraries) - broad if os.path.exists(p))}))
"#;

/// A Python interpreter that can run candidates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interpreter {
    /// `3.11.7`.
    pub version: String,
    /// The file that is executed.
    pub executable: PathBuf,
    /// numpy's version; the reference has numpy, and candidates that import it fail without.
    pub numpy: Option<String>,
    /// What belongs to it: library, packages, shared libraries. Candidates may read this and nothing else.
    pub(super) paths: Vec<PathBuf>,
}

impl Interpreter {
    /// Asks `python` (none: the search path's `python3`). It runs isolated, so that neither the environment nor the working
    /// directory can slip a module in.
    pub fn find(python: Option<&Path>) -> Result<Self> {
        let name = python.unwrap_or(Path::new("python3"));
        let fail = |what: String| Error::Python {
            python: name.to_owned(),
            what,
        };
        let output = Command::new(name)
            .args(["-I", "-B", "-c", ASK])
            .stdin(Stdio::null())
            .output()
            .map_err(|e| fail(format!("cannot be started: {e}")))?;
        let found: Self = serde_json::from_slice(&output.stdout).map_err(|_| {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().last().unwrap_or("no message").to_owned();
            fail(format!(
                "did not say what it is ({}: {last})",
                output.status
            ))
        })?;
        let mut numbers = found
            .version
            .split('.')
            .map(|n| n.parse::<u32>().unwrap_or(0));
        if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (3, 10) {
            return Err(fail(format!("is Python {}", found.version)));
        }
        Ok(found)
    }
}
