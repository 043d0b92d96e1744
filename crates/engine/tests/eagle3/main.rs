//! Speculative decoding on the CPU: the rounds of an independent reference, plain decoding's tokens, and what is refused.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

mod drive;
mod heads;
mod perfect;
mod refused;
mod rounds;
mod same_tokens;
