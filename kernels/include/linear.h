// What the dense products share. Mirrored in crates/engine/src/cuda/dense/args.rs.
#pragma once
#include "common.h"

struct LinearArgs {
    const bf16* x;
    const bf16* weight;
    // Null: none.
    const float* bias;
    bf16* out;
    u32 rows;
    u32 cols;
    u32 outs;
    u32 unused;
};
ASSERT_SIZE(LinearArgs, 48);
ASSERT_OFFSET(LinearArgs, rows, 32);
