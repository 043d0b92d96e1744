//! Which layers of the sandbox are active, why the others are not, and whether what is left confines a program. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which layers of the sandbox are active.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// A user namespace: capabilities end at its border.
    pub user_namespace: bool,
    /// The workers' PID namespace: everything in it dies with the worker.
    pub pid_namespace: bool,
    /// No network, not even loopback.
    pub network_namespace: bool,
    /// System V IPC and message queues of its own.
    pub ipc_namespace: bool,
    /// A root directory with the interpreter and nothing else, read-only, and for each candidate 64 MiB of fresh memory to
    /// write to.
    pub own_root: bool,
    /// The number of threads is bounded.
    #[serde(default)]
    pub task_limit: bool,
    /// Landlock enforces the files, `fully` or `partially`.
    pub landlock: Option<String>,
    /// Each candidate is in a PID namespace of its own.
    #[serde(default)]
    pub candidate_pid_namespace: bool,
    /// The system call filter.
    #[serde(default)]
    pub candidate_seccomp: bool,
    /// By the names of [`Layers::list`], why a layer is not active.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<String, String>,
}

impl Layers {
    /// Whether candidates are kept from the host's files, network and processes: something must hide the files, and only the
    /// system call filter keeps what neither a root nor Landlock looks at (signals, modes and times of files, sockets).
    pub fn confined(&self) -> bool {
        self.candidate_seccomp && (self.own_root || self.landlock.is_some())
    }

    /// Each layer with whether it is active.
    pub fn list(&self) -> [(&'static str, bool); 9] {
        [
            ("user namespace", self.user_namespace),
            ("PID namespace", self.pid_namespace),
            ("network namespace", self.network_namespace),
            ("IPC namespace", self.ipc_namespace),
            ("own root", self.own_root),
            ("task limit", self.task_limit),
            ("Landlock", self.landlock.is_some()),
            ("PID namespace per candidate", self.candidate_pid_namespace),
            ("seccomp", self.candidate_seccomp),
        ]
    }

    /// The active layers' names.
    pub fn active(&self) -> String {
        let names = self.list().into_iter().filter(|(_, active)| *active);
        names.map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    }

    /// The other layers' names, each with the reason if it is known.
    pub fn inactive(&self) -> String {
        let names = self.list().into_iter().filter(|(_, active)| !*active);
        let with_reason = names.map(|(name, _)| match self.lost.get(name) {
            Some(why) => format!("{name} ({})", ossmark_files::Escaped(why)),
            None => name.to_owned(),
        });
        with_reason.collect::<Vec<_>>().join(", ")
    }

    /// Notes that a layer could not be had.
    pub(super) fn lose(&mut self, name: &str, why: impl ToString) {
        self.lost.insert(name.to_owned(), why.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confined_means_that_something_hides_the_files_and_the_filter_is_on() {
        for own_root in [false, true] {
            for landlock in [false, true] {
                for seccomp in [false, true] {
                    let layers = Layers {
                        user_namespace: true,
                        pid_namespace: true,
                        network_namespace: true,
                        ipc_namespace: true,
                        task_limit: true,
                        candidate_pid_namespace: true,
                        own_root,
                        landlock: landlock.then(|| "fully".into()),
                        candidate_seccomp: seccomp,
                        lost: BTreeMap::new(),
                    };
                    assert_eq!(layers.confined(), (own_root || landlock) && seccomp);
                }
            }
        }
    }

    #[test]
    fn a_lost_layer_says_why_and_cannot_reach_the_terminal() {
        let mut layers = Layers {
            candidate_seccomp: true,
            ..Layers::default()
        };
        layers.lose("own root", "mount /x\u{1b}[31m: EPERM");
        assert_eq!(layers.active(), "seccomp");
        let text = layers.inactive();
        assert!(text.contains("own root (mount /x"), "{text}");
        assert!(
            text.contains("EPERM)") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}
