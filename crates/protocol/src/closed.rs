//! The end of a generator.

/// No more requests are taken: it was shut down, or it died (then [`crate::Event::Fatal`] said why).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine takes no more requests")]
pub struct Closed;
