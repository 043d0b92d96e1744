//! What a confined process is told: the scorer writes it, `confine` reads it, as JSON in the one argument between them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::layers::Layers;

/// What the scorer asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ConfinementSpec {
    pub(super) role: String,
    pub(super) python: PathBuf,
    /// What may be read.
    pub(super) paths: Vec<PathBuf>,
    /// An empty directory for this process alone.
    pub(super) directory: PathBuf,
    pub(super) memory_bytes: u64,
    pub(super) layers: Layers,
    /// Set once the namespaces have been entered, or cannot be.
    pub(super) inside: Option<TaskLimit>,
}

/// What bounds the number of threads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum TaskLimit {
    /// RLIMIT_NPROC, which counts those of the namespace only.
    Rlimit,
    /// The namespace's pid_max.
    PidMax,
    /// Nothing, for this reason.
    Unbounded(String),
}
