//! Everything that computes: the whole model and single operations, against references.

mod damaged;
mod demo;
mod drive;
mod golden;
mod ops;
mod reference;
mod shapes;
mod tiny;
