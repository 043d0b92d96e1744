//! The files of a tree as the official checker types them. Facts: §5.

pub(crate) mod accuracy;
pub(crate) mod point;
pub(crate) mod power;
pub(crate) mod steady_state;
pub(crate) mod summary;
pub(crate) mod system;
