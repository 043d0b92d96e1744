// Looks up the embedding of each row's token; rows are whole groups of eight elements. Bandwidth-bound; one block per row.
// Reference: crates/engine/src/cpu.rs
#include "include/step.h"

struct EmbedArgs {
    const u32* tokens;
    const u32* last_token;
    const bf16* table;
    bf16* out;
    u32 vocab;
    u32 cols;
};
ASSERT_SIZE(EmbedArgs, 40);
ASSERT_OFFSET(EmbedArgs, vocab, 32);

KERNEL __launch_bounds__(128) embed(const EmbedArgs a) {
    kernel_begins();
    u32 row = blockIdx.x;
    u32 token = a.tokens[row];
    if (token & FROM_SLOT) token = a.last_token[token & ~FROM_SLOT];
    // After a step without a usable token; the host drops the sequence before anybody sees this one.
    if (token >= a.vocab) token = 0;
    const bf16* from = a.table + (u64)token * a.cols;
    bf16* to = a.out + (u64)row * a.cols;
    for (u32 i = threadIdx.x; i < a.cols / 8; i += blockDim.x) ((Vec16*)to)[i] = load16((const Vec16*)from + i);
}
