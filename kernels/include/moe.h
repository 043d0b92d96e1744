// What the experts' kernels share. Mirrored in crates/engine/src/cuda/moe/args.rs.
#pragma once
#include "mxfp4.h"
#include "routing.h"

struct MoeArgs {
    Routing routing;
    // The step's rows; only the first product reads them.
    const bf16* x;
    // [expert][64 rows][64 columns], each as in mxfp4.h.
    const u8* blocks;
    const u8* scales;
    // [expert][out]
    const bf16* bias;
    // Rows of the matrix, and its columns.
    u32 outs;
    u32 cols;
    u32 top_k;
    float limit;
};
ASSERT_SIZE(MoeArgs, 104);
ASSERT_OFFSET(MoeArgs, x, 56);
ASSERT_OFFSET(MoeArgs, outs, 88);

// gpt-oss's clamped SwiGLU; the gate has no lower bound (gpt_oss/torch/model.py, `swiglu`). NaN stays NaN.
DEVICE float swiglu(float gate, float up, float limit) {
    gate = gate > limit ? limit : gate;
    up = up > limit ? limit : up;
    up = up < -limit ? -limit : up;
    return gate / (1.0f + expf(-1.702f * gate)) * (up + 1.0f);
}
