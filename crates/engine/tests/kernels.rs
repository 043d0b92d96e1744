//! The kernels' operations against f64, and the model on them, on three devices: the CPU, a CUDA device where there is
//! one (else the tests say that they were skipped; `OSSMARK_REQUIRE_GPU=1` makes that a failure), and the emulator, in a
//! child process that takes it for a CUDA device. `OSSMARK_TEST_SEED` repeats a run's random numbers.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

#[path = "numerics/drive.rs"]
#[allow(dead_code, reason = "shared with the numerics tests")]
mod drive;
#[path = "numerics/reference.rs"]
#[allow(dead_code, reason = "shared with the numerics tests")]
mod reference;
#[path = "numerics/tiny.rs"]
#[allow(dead_code, reason = "shared with the numerics tests")]
mod tiny;

#[path = "kernels/bench.rs"]
mod bench;
#[path = "kernels/check.rs"]
mod check;
#[path = "kernels/emulator.rs"]
mod emulator;
#[path = "kernels/graphs.rs"]
mod graphs;
#[path = "kernels/model.rs"]
mod model;
#[path = "kernels/pairing.rs"]
mod pairing;
#[path = "kernels/soak.rs"]
mod soak;

// One file per kernel.
#[path = "kernels/attention.rs"]
mod attention;
#[path = "kernels/attention_packed.rs"]
mod attention_packed;
#[path = "kernels/attention_prefill.rs"]
mod attention_prefill;
#[path = "kernels/embed.rs"]
mod embed;
#[path = "kernels/experts_down.rs"]
mod experts_down;
#[path = "kernels/experts_down_thin.rs"]
mod experts_down_thin;
#[path = "kernels/experts_down_wide.rs"]
mod experts_down_wide;
#[path = "kernels/experts_pack.rs"]
mod experts_pack;
#[path = "kernels/experts_up.rs"]
mod experts_up;
#[path = "kernels/experts_up_thin.rs"]
mod experts_up_thin;
#[path = "kernels/experts_up_wide.rs"]
mod experts_up_wide;
#[path = "kernels/gather_rows.rs"]
mod gather_rows;
#[path = "kernels/kv_write.rs"]
mod kv_write;
#[path = "kernels/linear.rs"]
mod linear;
#[path = "kernels/linear_thin.rs"]
mod linear_thin;
#[path = "kernels/linear_wide.rs"]
mod linear_wide;
#[path = "kernels/rmsnorm.rs"]
mod rmsnorm;
#[path = "kernels/rope.rs"]
mod rope;
#[path = "kernels/rope_kv.rs"]
mod rope_kv;
#[path = "kernels/route.rs"]
mod route;
#[path = "kernels/router.rs"]
mod router;
#[path = "kernels/sample.rs"]
mod sample;
#[path = "kernels/synthetic.rs"]
mod synthetic;
