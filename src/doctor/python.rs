//! The Python interpreter: LiveCodeBench's programs are Python and are graded by running them, and `bench loadgen
//! --compare-python` runs MLCommons' own binding.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::Check;

const ASK: &str = "\
import sys
from importlib import metadata
print('.'.join(map(str, sys.version_info[:3])))
for name in ('numpy', 'mlcommons-loadgen'):
    try:
        print(metadata.version(name))
    except Exception:
        print('')
";
/// An interpreter on a slow network file system takes seconds; one that never answers is no interpreter.
const PATIENCE: Duration = Duration::from_secs(20);
const LCB: &str = "grading LiveCodeBench answers";

pub(super) fn checks(python: &Path) -> Vec<Check> {
    let answer = ask(python);
    let package = |at: usize| match &answer {
        Ok(lines) => lines
            .get(at)
            .filter(|v| !v.is_empty())
            .cloned()
            .ok_or_else(|| "not installed".to_owned()),
        Err(_) => Err("no interpreter to ask".into()),
    };
    vec![
        Check::new(
            "Python",
            LCB,
            interpreter(python, &answer),
            "install Python 3.10 or later, or name one with --python",
        ),
        Check::new(
            "numpy",
            "LiveCodeBench answers that import it",
            package(1),
            "pip install numpy",
        ),
        Check::new(
            "mlcommons-loadgen",
            "bench loadgen --compare-python",
            package(2),
            "pip install mlcommons-loadgen==6.0.17",
        ),
    ]
}

fn interpreter(python: &Path, answer: &Result<Vec<String>, String>) -> Result<String, String> {
    let lines = answer.as_ref().map_err(String::clone)?;
    let version = lines.first().map(String::as_str).unwrap_or_default();
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let text = format!("{version} ({})", python.display());
    if found >= (3, 10) {
        Ok(text)
    } else {
        Err(format!("{text}, expected 3.10 or later"))
    }
}

/// The lines that the interpreter prints. It runs isolated (-I): neither the environment nor the working directory may
/// slip a module in.
fn ask(python: &Path) -> Result<Vec<String>, String> {
    let name = python.display();
    let mut child = Command::new(python)
        .args(["-I", "-c", ASK])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{name} cannot be started: {e}"))?;
    let start = Instant::now();
    // The three lines fit into the pipe, so the child never waits for a reader.
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                let seconds = PATIENCE.as_secs();
                return Err(format!("{name} gave no answer within {seconds} s"));
            }
            Err(error) => {
                let _ = child.kill();
                return Err(format!("{name} cannot be waited for: {error}"));
            }
        }
    };
    let mut text = String::new();
    let read = child
        .stdout
        .take()
        .map(|pipe| pipe.take(1 << 12).read_to_string(&mut text));
    match read {
        Some(Ok(_)) if status.success() => Ok(text.lines().map(str::to_owned).collect()),
        _ => Err(format!("{name} is no Python 3: it ended with {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[&str]) -> Result<Vec<String>, String> {
        Ok(lines.iter().map(|&l| l.to_owned()).collect())
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let python = Path::new("py");
        assert_eq!(
            interpreter(python, &answer(&["3.10.0"])).unwrap(),
            "3.10.0 (py)"
        );
        assert!(
            interpreter(python, &answer(&["3.9.18"]))
                .unwrap_err()
                .contains("expected 3.10")
        );
        assert!(interpreter(python, &answer(&["4.0.0"])).is_ok());
        assert!(interpreter(python, &answer(&[])).is_err());
        assert_eq!(interpreter(python, &Err("why".into())).unwrap_err(), "why");
    }

    #[test]
    fn programs_that_are_no_python() {
        assert!(
            ask(Path::new("/nonexistent"))
                .unwrap_err()
                .contains("cannot be started")
        );
        assert!(ask(Path::new("false")).unwrap_err().contains("no Python 3"));
    }
}
