//! Everything that computes: the whole model and single operations, against references.

#[path = "numerics/drive.rs"]
mod drive;
#[path = "numerics/golden.rs"]
mod golden;
