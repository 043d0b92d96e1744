//! Launches of the kernels of the mixture of experts: the choice of experts, their two products, the sum.

pub(crate) mod args;
pub(crate) mod experts_down;
pub(crate) mod experts_down_thin;
pub(crate) mod experts_down_wide;
pub(crate) mod experts_pack;
pub(crate) mod experts_up;
pub(crate) mod experts_up_thin;
pub(crate) mod experts_up_wide;
pub(crate) mod route;
pub(crate) mod router;
pub(crate) mod routing;
pub(crate) mod tiles;
