// Chooses a token from each row of logits that asks for one. One block of 1024 threads per row.
// Reference: crates/engine/src/cpu/sample.rs
#include "include/step.h"

struct SampleArgs {
    const bf16* logits;
    // From the first of these rows on.
    const LogitRowMeta* logit_rows;
    u32* last_token;
    u32* tokens;
    u32 vocab;
    u32 unused;
};
ASSERT_SIZE(SampleArgs, 40);
ASSERT_OFFSET(SampleArgs, vocab, 32);

const u32 BAD_LOGITS = 0xffffffffu;
// Ids whose weights are summed in their order; see `SAMPLE_BLOCK` in crates/engine/src/ops.rs.
const u32 SAMPLE_BLOCK = 1024;
// Most such blocks: a vocabulary of a million.
const u32 MAX_BLOCKS = 1024;

// What top-k and top-p leave: weights above `threshold`, and of those equal to it the first `equals` ids.
struct Kept {
    float threshold;
    u32 equals;
};

struct Row {
    const bf16* logits;
    u32 vocab;
    float max_logit;
    float temperature;
};

DEVICE float weight_of(const Row& r, u32 id) { return expf((f32_of(r.logits[id]) - r.max_logit) / r.temperature); }

// Weight and number of all ids with a weight of at least `bound`, known to all threads.
struct Mass {
    double weight;
    u32 count;
};

DEVICE Mass mass_from(const Row& r, float bound, double* weights, u32* counts) {
    double weight = 0.0;
    u32 count = 0;
    for (u32 id = threadIdx.x; id < r.vocab; id += 1024) {
        float w = weight_of(r, id);
        if (w >= bound) {
            weight += (double)w;
            ++count;
        }
    }
    __syncthreads();
    weights[threadIdx.x] = weight;
    counts[threadIdx.x] = count;
    __syncthreads();
    // 32 sums of 32, then one of those.
    if (threadIdx.x < 32) {
        u32 first = threadIdx.x * 32;
        for (u32 i = first + 1; i < first + 32; ++i) {
            weights[first] += weights[i];
            counts[first] += counts[i];
        }
    }
    __syncthreads();
    Mass mass = {0.0, 0};
    for (u32 i = 0; i < 1024; i += 32) {
        mass.weight += weights[i];
        mass.count += counts[i];
    }
    return mass;
}

// Weights are not negative, so that their bits are ordered as they are: the largest bound for which `enough` still holds
// is found bit by bit. Holds for 0.
template <typename Enough>
DEVICE float largest(Enough enough) {
    u32 bits = 0;
    for (u32 bit = 1u << 30; bit > 0; bit >>= 1) {
        if (enough(__uint_as_float(bits | bit))) bits |= bit;
    }
    return __uint_as_float(bits);
}

DEVICE Kept keep(const Row& r, const LogitRowMeta& logit_row, double* weights, u32* counts) {
    Kept kept = {0.0f, 0xffffffffu};
    bool limited = logit_row.top_k > 0 && logit_row.top_k < r.vocab;
    if (limited) {
        kept.threshold = largest([&](float bound) { return mass_from(r, bound, weights, counts).count >= logit_row.top_k; });
        Mass above = mass_from(r, __uint_as_float(__float_as_uint(kept.threshold) + 1), weights, counts);
        kept.equals = logit_row.top_k - above.count;
    }
    if (logit_row.top_p < 1.0f) {
        // Of what top-k left: everything above `threshold`, and `equals` times `threshold`.
        Kept k = kept;
        auto left = [&](float bound) {
            Mass m = mass_from(r, bound > k.threshold || !limited ? bound : __uint_as_float(__float_as_uint(k.threshold) + 1), weights, counts);
            if (limited && bound <= k.threshold) {
                m.weight += (double)k.equals * (double)k.threshold;
                m.count += k.equals;
            }
            return m;
        };
        double wanted = (double)logit_row.top_p * left(0.0f).weight;
        kept.threshold = largest([&](float bound) { return left(bound).weight >= wanted; });
        Mass above = left(__uint_as_float(__float_as_uint(kept.threshold) + 1)), all = left(kept.threshold);
        u32 n = 0;
        if (kept.threshold > 0.0f) {
            double missing = (wanted - above.weight) / (double)kept.threshold;
            n = missing > 0.0 ? (u32)missing : 0;
            if (above.weight + (double)n * (double)kept.threshold < wanted) ++n;
        }
        kept.equals = min_u32(n, all.count - above.count);
        // At least one token is always kept.
        if (above.count == 0 && kept.equals == 0) kept.equals = 1;
    }
    return kept;
}

DEVICE double shuffled(double v, u32 from) {
    union {
        double value;
        u32 words[2];
    } x;
    x.value = v;
    x.words[0] = __shfl_sync(ALL_LANES, x.words[0], from);
    x.words[1] = __shfl_sync(ALL_LANES, x.words[1], from);
    return x.value;
}

// A block of ids, 32 neighbours a warp at a time. Of the ids that weigh `kept.threshold`, `seen` came before.
struct Walk {
    const Row& row;
    const Kept& kept;
    u32 seen;

    // Of the lane's id: its weight if it is kept, else 0.
    DEVICE float weight(u32 id) {
        float w = id < row.vocab ? weight_of(row, id) : 0.0f;
        // All are kept.
        if (kept.equals == 0xffffffffu) return w;
        u32 equal = __ballot_sync(ALL_LANES, id < row.vocab && w == kept.threshold), lane = threadIdx.x % 32;
        u32 rank = seen + __popc(equal & ((1u << lane) - 1));
        seen += __popc(equal);
        return w > kept.threshold || (w == kept.threshold && rank < kept.equals) ? w : 0.0f;
    }
};

// How many ids before block `b` weigh `kept.threshold`.
DEVICE u32 equals_before(const u32* counts, u32 b, const Kept& kept) {
    u32 before = 0;
    if (kept.equals != 0xffffffffu) {
        for (u32 i = 0; i < b; ++i) before += counts[i];
    }
    return before;
}

// The id where the running sum of kept weights passes `target`, the last that is kept if it never does. `running` is the sum
// up to block `b`. One warp.
DEVICE u32 id_in_block(Walk walk, u32 b, double running, double target) {
    u32 lane = threadIdx.x % 32, last = 0;
    for (u32 first = b * SAMPLE_BLOCK; first < (b + 1) * SAMPLE_BLOCK; first += 32) {
        float w = walk.weight(first + lane);
        double sum = (double)w;
        for (u32 step = 1; step < 32; step *= 2) {
            double before = shuffled(sum, lane - step);
            if (lane >= step) sum += before;
        }
        u32 some = __ballot_sync(ALL_LANES, w > 0.0f), past = __ballot_sync(ALL_LANES, w > 0.0f && running + sum > target);
        if (past) return first + (u32)__ffs((int)past) - 1;
        if (some) last = first + 31 - (u32)__clz((int)some);
        running += shuffled(sum, 31);
    }
    return last;
}

KERNEL __launch_bounds__(1024) sample(const SampleArgs a) {
    kernel_begins();
    __shared__ double weights[MAX_BLOCKS];
    __shared__ u32 counts[MAX_BLOCKS];
    __shared__ float scratch[32];
    __shared__ u32 answer;
    LogitRowMeta logit_row = a.logit_rows[blockIdx.x];
    if (logit_row.sample == NO_SAMPLE) return;
    Row row = {a.logits + (u64)blockIdx.x * a.vocab, a.vocab, 0.0f, logit_row.temperature};
    float max_logit = -3.4e38f, bad = 0.0f;
#pragma unroll 8
    for (u32 id = threadIdx.x; id < a.vocab; id += 1024) {
        float l = f32_of(row.logits[id]);
        if (!(fabsf(l) <= 3.4e38f)) bad = 1.0f;
        max_logit = fmaxf(max_logit, l);
    }
    bad = block_max(bad, scratch);
    row.max_logit = block_max(max_logit, scratch);
    if (threadIdx.x == 0) answer = BAD_LOGITS;
    __syncthreads();
    if (bad == 0.0f && logit_row.temperature <= 0.0f) {
        u32 lowest = 0xffffffffu;
        for (u32 id = threadIdx.x; id < a.vocab && lowest == 0xffffffffu; id += 1024) {
            if (f32_of(row.logits[id]) == row.max_logit) lowest = id;
        }
        if (lowest != 0xffffffffu) atomicMin(&answer, lowest);
    } else if (bad == 0.0f) {
        Kept kept = keep(row, logit_row, weights, counts);
        __syncthreads();
        // Each block of ids by one warp.
        u32 blocks = ceil_div(a.vocab, SAMPLE_BLOCK), warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        if (kept.equals != 0xffffffffu) {
            for (u32 b = warp; b < blocks; b += 32) {
                u32 equal = 0;
                for (u32 id = b * SAMPLE_BLOCK + lane; id < min_u32((b + 1) * SAMPLE_BLOCK, a.vocab); id += 32) {
                    equal += weight_of(row, id) == kept.threshold;
                }
                for (u32 step = 16; step > 0; step /= 2) equal += __shfl_xor_sync(ALL_LANES, equal, step);
                if (lane == 0) counts[b] = equal;
            }
            __syncthreads();
        }
        for (u32 b = warp; b < blocks; b += 32) {
            Walk walk = {row, kept, equals_before(counts, b, kept)};
            double sum = 0.0;
#pragma unroll 4
            for (u32 first = 0; first < SAMPLE_BLOCK; first += 32) sum += (double)walk.weight(b * SAMPLE_BLOCK + first + lane);
            for (u32 step = 16; step > 0; step /= 2) sum += shuffled(sum, lane ^ step);
            if (lane == 0) weights[b] = sum;
        }
        __syncthreads();
        if (warp == 0) {
            // All lanes the same.
            double total = 0.0;
            u32 last_block = 0;
            for (u32 b = 0; b < blocks; ++b) {
                total += weights[b];
                if (weights[b] > 0.0) last_block = b;
            }
            double target = (double)logit_row.uniform * total, running = 0.0;
            u32 block = 0;
            // Rounding can leave the sum just short of the target: then it is the last one kept.
            while (block < last_block && !(running + weights[block] > target)) running += weights[block++];
            Walk walk = {row, kept, equals_before(counts, block, kept)};
            u32 id = id_in_block(walk, block, running, target);
            if (lane == 0) answer = id;
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        a.tokens[logit_row.sample] = answer;
        a.last_token[logit_row.place] = answer;
    }
}
