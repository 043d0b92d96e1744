//! The sandbox of LiveCodeBench programs: which layers are active, found by starting a worker in it that runs nothing.

use std::{ffi::OsString, path::Path};

use ossmark_score::lcb::{Layers, Settings, probe};

use super::Check;

pub(super) fn check(python: &Path, helper: Vec<OsString>) -> Check {
    let settings = Settings {
        python: Some(python.to_owned()),
        helper,
        ..Settings::default()
    };
    let found = match probe(&settings) {
        Ok((_, layers)) => summary(&layers),
        Err(error) => Err(error.to_string()),
    };
    Check::new(
        "sandbox",
        "grading LiveCodeBench answers, which are untrusted programs",
        found,
        "allow user namespaces with mounts, or Landlock, and seccomp (containers often forbid the first two); without, `ossmark \
         score` runs programs only with --allow-unconfined",
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
}
