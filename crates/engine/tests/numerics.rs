//! Everything that computes: the whole model and single operations, against references.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

#[path = "numerics/damaged.rs"]
mod damaged;
#[path = "numerics/demo.rs"]
mod demo;
#[path = "numerics/drive.rs"]
mod drive;
#[path = "numerics/golden.rs"]
mod golden;
#[path = "numerics/ops.rs"]
mod ops;
#[path = "numerics/reference.rs"]
mod reference;
#[path = "numerics/shapes.rs"]
mod shapes;
#[path = "numerics/tiny.rs"]
mod tiny;
