//! Number formats that a user chooses. Every thread may use these.

/// How activations, keys and values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    /// As the model was made for.
    #[default]
    Bf16,
    /// Reference numerics.
    F32,
}

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvDtype {
    /// Like activations.
    #[default]
    AsActivations,
    /// e4m3, without a scale: rounded to nearest even and held within ±448. Half of bf16's memory on a CUDA device; a
    /// matter of rounding on the CPU.
    Fp8,
}
