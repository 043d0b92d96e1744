//! What the CUDA engine may use and is to do without.

use std::path::PathBuf;
use std::sync::Arc;

use super::fast::KernelSet;
use crate::dtype::KvDtype;
use crate::eagle3::Drafter;
use crate::load_progress::LoadProgress;

/// What the CUDA engine may use.
#[derive(Clone, Debug)]
pub struct CudaSettings {
    /// Which device.
    pub device: u32,
    /// Bytes for keys and values; `None`: what is left once weights and buffers are there, less a reserve.
    pub memory_budget_bytes: Option<u64>,
    /// Positions in a KV block. Attention is made for 16; other sizes are left to its reference kernel.
    pub block_size: u32,
    /// Most input tokens in a step.
    pub max_step_tokens: u32,
    /// Most sequences in a step.
    pub max_seqs: u32,
    /// As many instead, at most, where keys and values of benchmark-sized sequences leave room for more than `max_seqs`.
    pub max_seqs_up_to: u32,
    /// How keys and values are kept.
    pub kv: KvDtype,
    /// Record decode steps when the model is loaded, and replay them.
    pub graphs: bool,
    /// Put a kernel on the device while the one before it still runs (programmatic dependent launch).
    pub overlap: bool,
    /// Compute with the reference kernels alone: slow, and what the others are checked against.
    pub reference_kernels: bool,
    /// Kernels made for speed that are not used.
    pub without: KernelSet,
    /// Compare the kernels made for speed with the reference ones before anything is answered, and leave out what differs.
    pub check: bool,
    /// Refuse to load when something differs, instead.
    pub strict: bool,
    /// Measure which kernels are faster for how many rows, and choose by that.
    pub tune: bool,
    /// Where such a choice is kept for the next start, and looked for.
    pub tune_cache: Option<PathBuf>,
    /// What drafts tokens, if anything does.
    pub drafter: Option<Drafter>,
    /// Counts the weights' bytes while they are copied to the device; random weights are made there and not counted.
    pub progress: Arc<LoadProgress>,
}

impl Default for CudaSettings {
    fn default() -> Self {
        Self {
            device: 0,
            memory_budget_bytes: None,
            block_size: 16,
            max_step_tokens: 4096,
            max_seqs: 256,
            max_seqs_up_to: 256,
            kv: KvDtype::AsActivations,
            graphs: true,
            overlap: true,
            reference_kernels: false,
            without: KernelSet::default(),
            check: true,
            strict: false,
            tune: false,
            tune_cache: None,
            drafter: None,
            progress: Arc::default(),
        }
    }
}
