//! Launches of the kernels that work on rows as they are: embedding, norms, dense products, sampling.

pub(crate) mod args;
pub(crate) mod embed;
pub(crate) mod gather_rows;
pub(crate) mod linear_mma;
pub(crate) mod linear_reference;
pub(crate) mod linear_wgmma;
pub(crate) mod rmsnorm;
pub(crate) mod sample;
pub(crate) mod synthetic;
