//! The sandbox of LiveCodeBench programs: which layers are active, found by starting a worker in it that runs nothing.

use std::{ffi::OsString, path::Path};

use ossmark_score::lcb::{Layers, Settings, probe};

use super::Check;

/// The layers of a sandbox that was started, or why none could be.
pub(super) type Tried = Result<Layers, String>;

pub(super) fn start(python: &Path, helper: Vec<OsString>) -> Tried {
    let settings = Settings {
        python: Some(python.to_owned()),
        helper,
        ..Settings::default()
    };
    match probe(&settings) {
        Ok((_, layers)) => Ok(layers),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn check(tried: &Tried) -> Check {
    let fix = match tried {
        Ok(_) => {
            "allow user namespaces with mounts, or Landlock, and seccomp (containers often forbid the first two); without, \
             `ossmark score` runs programs only with --allow-unconfined"
        }
        Err(_) => "do what the reason says; until then `ossmark score` runs no program",
    };
    Check::new(
        "sandbox",
        "grading LiveCodeBench answers, which are untrusted programs",
        tried.as_ref().map_err(String::clone).and_then(summary),
        fix,
    )
}

fn summary(layers: &Layers) -> Result<String, String> {
    let mut text = format!("active: {}", layers.active());
    let inactive = layers.inactive();
    if !inactive.is_empty() {
        text.push_str(&format!("; inactive: {inactive}"));
    }
    match layers.confined() {
        true => Ok(text),
        false => Err(format!(
            "programs are not confined, which takes seccomp, and own root or Landlock; {text}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_confine_is_missing_whatever_else_is_active() {
        let none = summary(&Layers::default()).unwrap_err();
        assert!(
            none.contains("not confined") && none.contains("inactive: user namespace"),
            "{none}"
        );
        let mut layers = Layers {
            candidate_seccomp: true,
            ..Layers::default()
        };
        layers
            .lost
            .insert("own root".into(), "mount: not permitted".into());
        let text = summary(&layers).unwrap_err();
        assert!(
            text.contains("active: seccomp; inactive: user")
                && text.contains("own root (mount: not permitted)"),
            "{text}"
        );
        layers.landlock = Some("fully".into());
        assert!(summary(&layers).unwrap().starts_with("active: Landlock"));
    }

    /// `--allow-unconfined` helps where the layers are too few, and not where no sandbox can be started.
    #[test]
    fn the_advice_is_for_what_was_found() {
        let fix = |tried| check(&tried).fix.unwrap_or_default();
        assert!(fix(Ok(Layers::default())).contains("--allow-unconfined"));
        let advice = fix(Err("clone: not permitted".into()));
        assert!(
            advice.contains("the reason") && !advice.contains("--allow-unconfined"),
            "{advice}"
        );
    }
}
