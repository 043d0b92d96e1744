//! A helper that takes layers away: it installs a system call filter that forbids what the layer is made with, as containers
//! and careful administrators do, and becomes `confine`.

use std::collections::BTreeMap;

use nix::libc;
use ossmark_score::lcb::{Settings, confine};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use crate::support::settings;

const PREFIX: &str = "without:";

/// Settings for a sandbox without the layers that these words, joined by `+`, stand for.
pub(crate) fn without(words: &str) -> Settings {
    let mut settings = settings();
    settings.helper[1] = format!("{PREFIX}{words}").into();
    settings
}

/// The helper; returns only with the reason why it could not become the interpreter.
pub(crate) fn helper(name: &str, spec: &str) -> Option<String> {
    let words = name.strip_prefix(PREFIX)?;
    if let Err(error) = forbid(words) {
        return Some(format!("no filter for the test: {error}"));
    }
    Some(confine(spec).to_string())
}

fn forbid(words: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let masked = |flag: libc::c_int| SeccompCmpOp::MaskedEq(flag as u64);
    for word in words.split('+') {
        let (calls, condition): (&[i64], Option<(SeccompCmpOp, i64)>) = match word {
            "" => (&[], None),
            "namespaces" => (&[libc::SYS_unshare], None),
            "user_namespace" => (
                &[libc::SYS_unshare],
                Some((masked(libc::CLONE_NEWUSER), i64::from(libc::CLONE_NEWUSER))),
            ),
            "pid_namespaces" => (
                &[libc::SYS_clone],
                Some((masked(libc::CLONE_NEWPID), i64::from(libc::CLONE_NEWPID))),
            ),
            "mount" => (&[libc::SYS_mount], None),
            "pivot_root" => (&[libc::SYS_pivot_root], None),
            "landlock" => (&[444, 445, 446], None),
            "pidfd" => (&[libc::SYS_pidfd_open], None),
            "capset" => (&[libc::SYS_capset], None),
            "seccomp" => (
                &[libc::SYS_prctl],
                Some((SeccompCmpOp::Eq, i64::from(libc::PR_SET_SECCOMP))),
            ),
            other => return Err(format!("no word {other}").into()),
        };
        for &call in calls {
            let rule = match &condition {
                None => Vec::new(),
                Some((operator, value)) => vec![SeccompRule::new(vec![SeccompCondition::new(
                    0,
                    SeccompCmpArgLen::Dword,
                    operator.clone(),
                    *value as u64,
                )?])?],
            };
            rules.insert(call, rule);
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    Ok(apply_filter(&program)?)
}
