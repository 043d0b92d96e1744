//! What the server knows of the model, and the channel that its tokens come through.

use ossmark_protocol::{Event, Sink};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What never changes about the model that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Token ids are below this.
    pub vocab_size: u32,
    /// Longest sequence, prompt and generated tokens together.
    pub max_context: u32,
    /// Whether the engine gives logits to requests that ask for them.
    pub logits: bool,
}

/// The receiving end of [`channel`].
pub struct EngineEvents(pub(crate) UnboundedReceiver<Event>);

/// A sink to build an engine with, and what the server reads from it. The sink never blocks.
pub fn channel() -> (Sink, EngineEvents) {
    let (send, events) = unbounded_channel();
    (
        Box::new(move |event| send.send(event).is_ok()),
        EngineEvents(events),
    )
}
