//! Whatever produces tokens, behind [`ossmark_protocol::Generator`]: a file each, and `choice`, which starts what the options
//! name.

pub(crate) mod choice;
pub(crate) mod device;
pub(crate) mod drill;
pub(crate) mod echo;
mod loading;
pub(crate) mod local;
pub(crate) mod null;
pub(crate) mod remote;
pub(crate) mod replicas;
pub(crate) mod weights;
