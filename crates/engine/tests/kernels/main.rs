//! The kernels' operations against f64, and the model on them, on three devices: the CPU, a CUDA device where there is
//! one (else the tests say that they were skipped; `OSSMARK_REQUIRE_GPU=1` makes that a failure), and the emulator, in a
//! child process that takes it for a CUDA device. `OSSMARK_TEST_SEED` repeats a run's random numbers.

#[path = "../numerics/drive.rs"]
#[allow(dead_code, reason = "shared with the numerics tests")]
mod drive;
#[path = "../numerics/reference.rs"]
#[allow(dead_code, reason = "shared with the numerics tests")]
mod reference;
#[path = "../numerics/tiny.rs"]
#[allow(dead_code, reason = "shared with the numerics tests")]
mod tiny;

mod bench;
mod check;
mod emulator;
mod graphs;
mod model;
mod pairing;
mod soak;

// One file per kernel.
mod attention;
mod attention_packed;
mod attention_prefill;
mod embed;
mod experts_down;
mod experts_down_thin;
mod experts_down_wide;
mod experts_pack;
mod experts_up;
mod experts_up_thin;
mod experts_up_wide;
mod gather_rows;
mod kv_write;
mod linear;
mod linear_thin;
mod linear_wide;
mod rmsnorm;
mod rope;
mod rope_kv;
mod route;
mod router;
mod sample;
mod synthetic;
