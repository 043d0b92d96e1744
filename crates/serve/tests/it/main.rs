//! The server over real sockets, with the real scheduler over the engine's fake executor behind it.

mod chat;
mod clients;
mod common;
mod generate;
mod hosts;
mod lifecycle;
mod misuse;
mod openai;
mod recorded;
mod responses;
mod texts;
mod tools;
mod vanish;
