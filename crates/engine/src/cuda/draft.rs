//! Launches of the kernels that only draft heads have.

pub(crate) mod accept_drafts;
pub(crate) mod args;
pub(crate) mod copy_rows;
pub(crate) mod draft_argmax;
pub(crate) mod draft_argmax_wgmma;
pub(crate) mod silu_mul;
