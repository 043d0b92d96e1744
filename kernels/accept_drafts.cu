// The end of a round of speculation: how many of a sequence's drafted tokens the model chose too, the token it goes on from, and the
// head's state there. One block per sequence.
// Reference: crates/engine/src/cpu/draft.rs
#include "include/step.h"

struct AcceptArgs {
    const SeqMeta* seqs;
    // As `TokenPlaces` has them (crates/engine/src/executor.rs): last ones, drafts, choices.
    u32* tokens;
    const bf16* x;
    bf16* states;
    u32 cols;
    u32 max_seqs;
    u32 max_drafts;
    u32 unused;
};
ASSERT_SIZE(AcceptArgs, 48);
ASSERT_OFFSET(AcceptArgs, cols, 32);

KERNEL __launch_bounds__(128) accept_drafts(const AcceptArgs a) {
    kernel_begins();
    SeqMeta seq = a.seqs[blockIdx.x];
    if (seq.stand == STAND_NOTHING) return;
    const u32* drafted = a.tokens + a.max_seqs + seq.slot * a.max_drafts;
    const u32* chosen = a.tokens + a.max_seqs * (1 + a.max_drafts) + seq.slot * (1 + a.max_drafts);
    u32 stand = seq.stand;
    if (stand == STAND_CHOSEN) {
        stand = 0;
        while (stand < seq.drafts && drafted[stand] == chosen[stand]) ++stand;
    }
    const bf16* from = a.x + (u64)(seq.first_row + seq.rows - 1 - seq.drafts + stand) * a.cols;
    bf16* to = a.states + (u64)seq.slot * a.cols;
    for (u32 i = threadIdx.x; i < a.cols / 8; i += blockDim.x) ((Vec16*)to)[i] = load16((const Vec16*)from + i);
    if (threadIdx.x == 0) a.tokens[seq.slot] = chosen[stand];
}
