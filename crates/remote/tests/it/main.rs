//! Servers that behave and servers that do not, over real sockets.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

mod faults;
mod good;
mod hold;
mod peers;
mod scale;

mod script;
mod start;
mod tls;
