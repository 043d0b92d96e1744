//! Everything that can go wrong while a model is loaded. Failures of a step are [`crate::executor::ExecError`].

use std::borrow::Cow;
use std::path::PathBuf;

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file of the checkpoint could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no memory.
    #[error(
        "cannot get {bytes} bytes of memory for {what}: less is needed with lower --kv-memory-mib, --max-batch or \
         --max-step-tokens; `ulimit -v` and a container's limit say how much this process may have"
    )]
    NoMemory {
        /// For what.
        what: &'static str,
        /// How much.
        bytes: usize,
    },
    /// The folder holds no checkpoint.
    #[error(
        "{0} holds no checkpoint: expected config.json beside model.safetensors or model.safetensors.index.json, or an original/ folder with them"
    )]
    NoCheckpoint(PathBuf),
    /// A JSON or safetensors file is damaged or says something impossible.
    #[error("{path}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// The configuration asks for something that this engine does not compute.
    #[error("{path}: {field} is {found}, expected {expected}")]
    Unsupported {
        /// The configuration file.
        path: PathBuf,
        /// The field, as spelled in the file.
        field: Cow<'static, str>,
        /// What it holds.
        found: String,
        /// What this engine takes.
        expected: String,
    },
    /// A tensor that the model needs is not in the checkpoint.
    #[error("{path}: tensor {name} is missing{hint}")]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor's name in this layout.
        name: String,
        /// How to fix it, or empty.
        hint: &'static str,
    },
    /// A tensor's type or shape does not fit the configuration.
    #[error("{path}: tensor {name} is {found}, expected {expected} from config.json")]
    TensorMismatch {
        /// The file that holds the tensor.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Its type and shape.
        found: String,
        /// The type and shape that the configuration asks for.
        expected: String,
    },
    /// The settings do not suit the model or the machine.
    #[error("{0}")]
    Settings(String),
    /// No usable CUDA device, or it failed while the model was loaded.
    #[error("{0}")]
    Cuda(String),
    /// The device's memory does not suffice.
    #[error(
        "the CUDA device has {free} bytes of memory left, expected {bytes} for {what}: lower the tokens a step, the \
         sequences or the KV memory, end other programs on the device, or use a larger one"
    )]
    DeviceMemory {
        /// What it is for.
        what: String,
        /// How much that needs.
        bytes: u64,
        /// How much there is.
        free: u64,
    },
}
