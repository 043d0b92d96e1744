//! Whatever produces tokens, behind [`ossmark_protocol::Generator`]: a file each, and `engine_plan`, which starts what the
//! options name.

pub(crate) mod device;
pub(crate) mod echo;
pub(crate) mod engine_plan;
pub(crate) mod fault_injection;
mod loading;
pub(crate) mod local;
pub(crate) mod null;
pub(crate) mod remote;
pub(crate) mod replicas;
pub(crate) mod weights;
