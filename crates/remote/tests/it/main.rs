//! Servers that behave and servers that do not, over real sockets.

mod faults;
mod good;
mod script;
mod start;
mod tls;
