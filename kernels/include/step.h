// The step's metadata as it lies on the device. Mirrored in crates/engine/src/cuda/step.rs.
#pragma once
#include "common.h"
#include "fp8.h"

// An input token is an id, or this bit and the slot whose last sampled token it is.
const u32 FROM_SLOT = 0x80000000u;

struct SeqMeta {
    u32 first_row;
    u32 rows;
    u32 start;
    u32 full_offset;
    u32 full_first;
    u32 window_offset;
    u32 window_first;
    // Where what is kept of it lies.
    u32 slot;
    // Its last rows, those of drafted tokens, and how many of them stand: a number, or one of the two below.
    u32 drafts;
    u32 stand;
    u32 unused[2];
};
ASSERT_SIZE(SeqMeta, 48);

// No token is chosen for it. Those drafts that the model chose too.
const u32 STAND_NOTHING = 0xffffffffu;
const u32 STAND_CHOSEN = 0xfffffffeu;

struct LogitRowMeta {
    u32 row;
    // Place of its token among the step's, or NO_SAMPLE.
    u32 sample;
    // Where the token is kept: `TokenPlaces` in crates/engine/src/executor.rs.
    u32 place;
    u32 top_k;
    float temperature;
    float top_p;
    float uniform;
    u32 unused;
};
ASSERT_SIZE(LogitRowMeta, 32);

const u32 NO_SAMPLE = 0xffffffffu;

// The sequence of a row that only fills up its step: nothing is read or written for it.
const u32 NO_SEQ = 0xffffffffu;

// Where keys and values of a layer group lie: [block][layer][k, v][kv head][position in block][head_dim].
struct KvPool {
    // bf16, or e4m3 when an element has one byte.
    void* data;
    const u32* blocks;
    const SeqMeta* seqs;
    u32 layers;
    u32 layer;
    u32 block_size;
    u32 kv_heads;
    u32 head_dim;
    // Positions that a row sees, its own included; 0 sees all.
    u32 window;
    u32 element_bytes;
    u32 unused;
};
ASSERT_SIZE(KvPool, 56);
ASSERT_OFFSET(KvPool, layers, 24);
ASSERT_OFFSET(KvPool, element_bytes, 48);

// Element of the pool where a head's key (kv 0) or value (kv 1) at `position` of `seq` begins; the next position in the
// block follows at once.
DEVICE u64 kv_at(const KvPool& pool, const SeqMeta& seq, u32 kv, u32 head, u32 position) {
    u32 offset = pool.window ? seq.window_offset : seq.full_offset;
    u32 first = pool.window ? seq.window_first : seq.full_first;
    u32 block = pool.blocks[offset + position / pool.block_size - first];
    u64 at = (((u64)block * pool.layers + pool.layer) * 2 + kv) * pool.kv_heads + head;
    return (at * pool.block_size + position % pool.block_size) * pool.head_dim;
}

DEVICE float kv_value(const KvPool& pool, u64 at) {
    return pool.element_bytes == 1 ? f32_of_e4m3(((const u8*)pool.data)[at]) : f32_of(((const bf16*)pool.data)[at]);
}

DEVICE void kv_store(const KvPool& pool, u64 at, bf16 x) {
    if (pool.element_bytes == 1) {
        ((u8*)pool.data)[at] = (u8)e4m3_of(f32_of(x));
    } else {
        ((bf16*)pool.data)[at] = x;
    }
}

// Two at once, from an even element on: the low half of `pair` first.
DEVICE void kv_store2(const KvPool& pool, u64 at, u32 pair) {
    if (pool.element_bytes == 1) {
        ((u16*)pool.data)[at / 2] = (u16)(e4m3_of(low_of(pair)) | e4m3_of(high_of(pair)) << 8);
    } else {
        ((u32*)pool.data)[at / 2] = pair;
    }
}

DEVICE u32 first_seen(const KvPool& pool, u32 position) {
    return pool.window && position + 1 > pool.window ? position + 1 - pool.window : 0;
}
