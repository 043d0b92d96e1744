//! The kernels' operations against f64, and the model on them, on three devices: the CPU, a CUDA device where there is
//! one (else the tests say that they were skipped; `OSSMARK_REQUIRE_GPU=1` makes that a failure), and the emulator, in a
//! child process that takes it for a CUDA device. `OSSMARK_TEST_SEED` repeats a run's random numbers; `OSSMARK_TEST_WITHOUT`
//! (switches.rs) does without what may be at fault on a GPU.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

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
mod emulator_check;
mod graphs;
mod model;
mod pairing;
mod soak;
mod speculation;
mod switches;
mod tune;

// One file per kernel.
mod accept_drafts;
mod attention_decode;
mod attention_prefill;
mod attention_reference;
mod copy_rows;
mod draft_argmax;
mod draft_argmax_wgmma;
mod embed;
mod gather_rows;
mod kv_write;
mod linear_mma;
mod linear_reference;
mod linear_wgmma;
mod moe_down_mma;
mod moe_down_reference;
mod moe_down_wgmma;
mod moe_gate_up_mma;
mod moe_gate_up_reference;
mod moe_gate_up_wgmma;
mod mxfp4_repack;
mod rmsnorm;
mod rope;
mod rope_kv;
mod router;
mod sample;
mod silu_mul;
mod synthetic;
mod topk_softmax;
