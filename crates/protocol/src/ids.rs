//! What requests and tokens are called.

/// A token id: an index into the model's vocabulary.
pub type TokenId = u32;

/// Names a request to and from the engine. Dense: the submitter counts up from zero within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);
