//! Launches of the kernels of the mixture of experts: the choice of experts, their two products, the sum.

pub(crate) mod args;
pub(crate) mod moe_down_mma;
pub(crate) mod moe_down_reference;
pub(crate) mod moe_down_wgmma;
pub(crate) mod moe_gate_up_mma;
pub(crate) mod moe_gate_up_reference;
pub(crate) mod moe_gate_up_wgmma;
pub(crate) mod mxfp4_repack;
pub(crate) mod router;
pub(crate) mod routing;
pub(crate) mod tiles;
pub(crate) mod topk_softmax;
