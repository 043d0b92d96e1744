// Chooses a token from each row of logits that asks for one. One block of 1024 threads per row.
// Reference: crates/engine/src/cpu/sample.rs
#include "include/step.h"

struct SampleArgs {
    const bf16* logits;
    // From the first head of these rows on.
    const HeadMeta* heads;
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
const u32 MOST_BLOCKS = 1024;

// What top-k and top-p leave: weights above `least`, and of those equal to it the first `equals` ids.
struct Kept {
    float least;
    u32 equals;
};

struct Row {
    const bf16* logits;
    u32 vocab;
    float most;
    float temperature;
};

DEVICE float weight_of(const Row& r, u32 id) { return expf((f32_of(r.logits[id]) - r.most) / r.temperature); }

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

DEVICE Kept keep(const Row& r, const HeadMeta& head, double* weights, u32* counts) {
    Kept kept = {0.0f, 0xffffffffu};
    bool limited = head.top_k > 0 && head.top_k < r.vocab;
    if (limited) {
        kept.least = largest([&](float bound) { return mass_from(r, bound, weights, counts).count >= head.top_k; });
        Mass above = mass_from(r, __uint_as_float(__float_as_uint(kept.least) + 1), weights, counts);
        kept.equals = head.top_k - above.count;
    }
    if (head.top_p < 1.0f) {
        // Of what top-k left: everything above `least`, and `equals` times `least`.
        Kept k = kept;
        auto left = [&](float bound) {
            Mass m = mass_from(r, bound > k.least || !limited ? bound : __uint_as_float(__float_as_uint(k.least) + 1), weights, counts);
            if (limited && bound <= k.least) {
                m.weight += (double)k.equals * (double)k.least;
                m.count += k.equals;
            }
            return m;
        };
        double wanted = (double)head.top_p * left(0.0f).weight;
        kept.least = largest([&](float bound) { return left(bound).weight >= wanted; });
        Mass above = left(__uint_as_float(__float_as_uint(kept.least) + 1)), all = left(kept.least);
        u32 n = 0;
        if (kept.least > 0.0f) {
            double missing = (wanted - above.weight) / (double)kept.least;
            n = missing > 0.0 ? (u32)missing : 0;
            if (above.weight + (double)n * (double)kept.least < wanted) ++n;
        }
        kept.equals = least(n, all.count - above.count);
        // At least one token is always kept.
        if (above.count == 0 && kept.equals == 0) kept.equals = 1;
    }
    return kept;
}

KERNEL sample(const SampleArgs a) {
    kernel_begins();
    __shared__ double weights[MOST_BLOCKS];
    __shared__ u32 counts[MOST_BLOCKS];
    __shared__ float scratch[32];
    __shared__ u32 answer;
    HeadMeta head = a.heads[blockIdx.x];
    if (head.sample == NO_SAMPLE) return;
    Row row = {a.logits + (u64)blockIdx.x * a.vocab, a.vocab, 0.0f, head.temperature};
    float most = -3.4e38f, bad = 0.0f;
    for (u32 id = threadIdx.x; id < a.vocab; id += 1024) {
        float l = f32_of(row.logits[id]);
        if (!(fabsf(l) <= 3.4e38f)) bad = 1.0f;
        most = fmaxf(most, l);
    }
    bad = block_max(bad, scratch);
    row.most = block_max(most, scratch);
    if (threadIdx.x == 0) answer = BAD_LOGITS;
    __syncthreads();
    if (bad == 0.0f && head.temperature <= 0.0f) {
        u32 lowest = 0xffffffffu;
        for (u32 id = threadIdx.x; id < a.vocab && lowest == 0xffffffffu; id += 1024) {
            if (f32_of(row.logits[id]) == row.most) lowest = id;
        }
        if (lowest != 0xffffffffu) atomicMin(&answer, lowest);
    } else if (bad == 0.0f) {
        Kept kept = keep(row, head, weights, counts);
        __syncthreads();
        // Each block of ids by one thread, in the order of ids; the equals first, since only the first of them count.
        u32 blocks = parts(a.vocab, SAMPLE_BLOCK), b = threadIdx.x;
        u32 begin = b * SAMPLE_BLOCK, end = least(begin + SAMPLE_BLOCK, a.vocab);
        u32 equal = 0;
        if (b < blocks && kept.equals != 0xffffffffu) {
            for (u32 id = begin; id < end; ++id) equal += weight_of(row, id) == kept.least;
        }
        counts[b] = equal;
        __syncthreads();
        u32 before = 0;
        for (u32 i = 0; i < b && i < blocks; ++i) before += counts[i];
        double sum = 0.0;
        if (b < blocks) {
            u32 seen = before;
            for (u32 id = begin; id < end; ++id) {
                float w = weight_of(row, id);
                if (w > kept.least || (w == kept.least && seen++ < kept.equals)) sum += (double)w;
            }
        }
        weights[b] = sum;
        __syncthreads();
        if (threadIdx.x == 0) {
            double total = 0.0;
            for (u32 i = 0; i < blocks; ++i) total += weights[i];
            double target = (double)head.uniform * total, running = 0.0;
            u32 block = 0, last = 0, last_block = 0;
            for (u32 i = 0; i < blocks; ++i) {
                if (weights[i] > 0.0) last_block = i;
            }
            while (block < blocks && !(running + weights[block] > target)) running += weights[block++];
            bool past = block == blocks;
            // Rounding can leave the sum just short of the target: then it is the last one kept.
            if (past) {
                block = last_block;
                running = -1.0;
            }
            u32 seen = 0, from = block * SAMPLE_BLOCK, to = least(from + SAMPLE_BLOCK, a.vocab);
            for (u32 i = 0; i < block; ++i) seen += counts[i];
            for (u32 id = from; id < to; ++id) {
                float w = weight_of(row, id);
                if (!(w > kept.least || (w == kept.least && seen++ < kept.equals)) || !(w > 0.0f)) continue;
                last = id;
                running += (double)w;
                if (!past && running > target) break;
            }
            answer = last;
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        a.tokens[head.sample] = answer;
        a.last_token[head.slot] = answer;
    }
}
