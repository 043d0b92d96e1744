//! Answers every request at once, inside `submit`: what is left is the harness itself (`bench loadgen`).

use std::sync::Mutex;

use ossmark_protocol::{
    Closed, End, Event, Generator, Request, RequestId, SeqOutput, Sink, StepOutputs, TokenId,
};

/// Most requests answered in one event, as a large engine step would.
const STEP: usize = 128;

pub(crate) struct Null {
    sink: Mutex<Sink>,
    answer: Vec<TokenId>,
}

impl Null {
    pub(crate) fn new(n_tokens: u32, sink: Sink) -> Self {
        Self {
            sink: Mutex::new(sink),
            answer: (0..n_tokens).collect(),
        }
    }
}

impl Generator for Null {
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        let mut sink = self.sink.lock().map_err(|_| Closed)?;
        for batch in requests.chunks(STEP) {
            let mut step = StepOutputs {
                tokens: Vec::with_capacity(batch.len() * self.answer.len()),
                outputs: Vec::with_capacity(batch.len()),
                ..StepOutputs::default()
            };
            for request in batch {
                let stop = match request.stop_tokens.is_empty() {
                    true => None,
                    false => self
                        .answer
                        .iter()
                        .position(|t| request.stop_tokens.contains(t)),
                };
                let answer = &self.answer[..stop.map_or(self.answer.len(), |at| at + 1)];
                step.tokens.extend_from_slice(answer);
                step.outputs.push(SeqOutput {
                    id: request.id,
                    n_tokens: answer.len() as u32,
                    end: Some(match stop {
                        Some(_) => End::Stop,
                        None => End::Length,
                    }),
                    engine: 0,
                    logits: Vec::new(),
                });
            }
            if !sink(Event::Step(step)) {
                return Err(Closed);
            }
        }
        Ok(())
    }

    fn cancel(&self, _: Vec<RequestId>) {}
}
