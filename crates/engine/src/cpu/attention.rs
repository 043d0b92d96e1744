//! The KV pool, and attention over it. Query heads that share a kv head stand side by side in the lanes.

use std::cell::RefCell;

use super::lanes::{LANES, Lanes, Rounding, Vectors};
use super::tiles::Tiles;
use crate::batch::{StepBatch, TableRef};
use crate::config::LayerKind;
use crate::fp8::round_e4m3;
use crate::load_error::LoadError;
use crate::memory::zeroed;
use crate::ops::KvLayer;

/// Keys and values: `[block][layer of the group][k, v][position in block][kv head][head_dim]`. Both layer groups
/// draw blocks from the one pool, so a block is as large as the larger group needs.
pub(super) struct KvPool {
    data: Vec<f32>,
    layers: usize,
    block_size: usize,
    kv_heads: usize,
    head_dim: usize,
    window: usize,
    /// Whether what is written is rounded to e4m3.
    pub(super) fp8: bool,
}

/// Elements of a block for `layers` layers.
pub(super) fn block_elements(
    layers: usize,
    block_size: usize,
    kv_heads: usize,
    head_dim: usize,
) -> usize {
    layers * 2 * block_size * kv_heads * head_dim
}

thread_local! {
    /// Queries, scores and sums of one row and kv head; kept, so that a step does not allocate.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

type Scratch = [Vec<Lanes>; 3];

impl KvPool {
    pub(super) fn new(
        n_blocks: usize,
        layers: usize,
        block_size: usize,
        kv_heads: usize,
        head_dim: usize,
        window: Option<usize>,
    ) -> Result<Self, LoadError> {
        let elements = n_blocks * block_elements(layers, block_size, kv_heads, head_dim);
        let window = window.unwrap_or(usize::MAX);
        Ok(Self {
            data: zeroed(elements, "keys and values")?,
            layers,
            block_size,
            kv_heads,
            head_dim,
            window,
            fp8: false,
        })
    }

    /// Index of the k (0) or v (1) of the first position of a block.
    #[inline(always)]
    fn at(&self, block: u32, layer: usize, kv: usize) -> usize {
        ((block as usize * self.layers + layer) * 2 + kv)
            * self.block_size
            * self.kv_heads
            * self.head_dim
    }

    /// None for a row of nobody, for which nothing happens.
    fn table(batch: &StepBatch, row: usize, kind: LayerKind) -> Option<TableRef> {
        let seq = batch.seqs.get(batch.seq_of_row[row] as usize)?;
        Some(match kind {
            LayerKind::Full => seq.full,
            LayerKind::Window => seq.window,
        })
    }

    /// Copies the k and v of each row, which stand behind the query heads in `qkv`.
    pub(super) fn write(&mut self, qkv: &Tiles, layer: KvLayer, batch: &StepBatch) {
        let width = self.kv_heads * self.head_dim;
        let q_dim = qkv.cols - 2 * width;
        for row in 0..batch.rows() {
            let Some(table) = Self::table(batch, row, layer.kind) else {
                continue;
            };
            let position = batch.positions[row] as usize;
            let entry = position / self.block_size - table.first_block as usize;
            let block = batch.blocks[table.offset as usize + entry];
            let offset = position % self.block_size * width;
            let (k, v) = (
                self.at(block, layer.index, 0) + offset,
                self.at(block, layer.index, 1) + offset,
            );
            let mut source = qkv.row(row).skip(q_dim);
            for at in [k, v] {
                for (x, s) in self.data[at..][..width].iter_mut().zip(&mut source) {
                    *x = if self.fp8 { round_e4m3(s) } else { s };
                }
            }
        }
    }
}

/// What all heads and rows of one attention have in common.
pub(super) struct Attention<'a> {
    pub(super) pool: &'a KvPool,
    pub(super) qkv: &'a Tiles,
    pub(super) layer: KvLayer,
    pub(super) sinks: &'a [f32],
    pub(super) batch: &'a StepBatch,
    pub(super) rounding: Rounding,
}

impl Attention<'_> {
    /// Attends with the query heads of kv head `head` for all rows of tile `tile`; `out` is that part of the output tile.
    pub(super) fn head(&self, vectors: Vectors, tile: usize, head: usize, out: &mut [Lanes]) {
        // Borrowed out here: what `with_borrow_mut` calls is not inlined into the dispatch.
        SCRATCH.with_borrow_mut(|scratch| {
            vectors.run(
                #[inline(always)]
                || self.rows(vectors, scratch, tile, head, out),
            );
        });
    }

    #[inline(always)]
    fn rows(
        &self,
        vectors: Vectors,
        [q, scores, sums]: &mut Scratch,
        tile: usize,
        head: usize,
        out: &mut [Lanes],
    ) {
        let (dim, group) = (self.pool.head_dim, out.len() / self.pool.head_dim);
        let queries = &self.qkv.data[tile * self.qkv.cols..][head * group * dim..][..group * dim];
        let rows = (self.batch.rows() - tile * LANES).min(LANES);
        for lane in 0..rows {
            let row = tile * LANES + lane;
            let last = self.batch.positions[row] as usize;
            let first = match self.layer.kind {
                LayerKind::Full => 0,
                LayerKind::Window => (last + 1).saturating_sub(self.pool.window),
            };
            let Some(table) = KvPool::table(self.batch, row, self.layer.kind) else {
                continue;
            };
            let blocks = &self.batch.blocks[table.offset as usize..][..table.len as usize];
            let seen = Seen {
                pool: self.pool,
                layer: self.layer.index,
                head,
                table,
                blocks,
                first,
                last,
            };
            for some in (0..group).step_by(LANES) {
                let n = (group - some).min(LANES);
                q.clear();
                q.resize(dim, Lanes::ZERO);
                for h in 0..n {
                    for (q, x) in q.iter_mut().zip(&queries[(some + h) * dim..]) {
                        q.0[h] = x.0[lane];
                    }
                }
                let mut sink = Lanes::ZERO;
                sink.0[..n].copy_from_slice(&self.sinks[head * group + some..][..n]);
                let total = seen.softmax(vectors, q, sink, scores);
                seen.weighted_values(vectors, scores, sums);
                for (d, sum) in sums.iter().enumerate() {
                    let result = self.rounding.apply(sum.zip(
                        total,
                        #[inline(always)]
                        |s, t| s / t,
                    ));
                    for h in 0..n {
                        out[(some + h) * dim + d].0[lane] = result.0[h];
                    }
                }
            }
        }
    }
}

/// The positions that one row sees, for one kv head.
struct Seen<'a> {
    pool: &'a KvPool,
    layer: usize,
    head: usize,
    table: TableRef,
    blocks: &'a [u32],
    first: usize,
    last: usize,
}

impl Seen<'_> {
    /// Calls `f` for each run of positions in one block with their keys (`kv` 0) or values (1): `f(index of the first
    /// from `self.first` on, number, elements)`. Rows of elements are `kv_heads * head_dim` apart.
    #[inline(always)]
    fn runs(&self, kv: usize, mut f: impl FnMut(usize, usize, &[f32])) {
        let p = self.pool;
        let width = p.kv_heads * p.head_dim;
        let mut position = self.first;
        while position <= self.last {
            let logical = position / p.block_size;
            let end = ((logical + 1) * p.block_size).min(self.last + 1);
            let block = self.blocks[logical - self.table.first_block as usize];
            let start = p.at(block, self.layer, kv)
                + position % p.block_size * width
                + self.head * p.head_dim;
            let count = end - position;
            f(
                position - self.first,
                count,
                &p.data[start..][..(count - 1) * width + p.head_dim],
            );
            position = end;
        }
    }

    /// Leaves `exp(score - max)` of each position in `scores`, and gives their sum with the sink's.
    #[inline(always)]
    fn softmax(
        &self,
        vectors: Vectors,
        q: &[Lanes],
        sink: Lanes,
        scores: &mut Vec<Lanes>,
    ) -> Lanes {
        let dim = self.pool.head_dim;
        let width = self.pool.kv_heads * dim;
        let scale = 1.0 / (dim as f32).sqrt();
        let mut max = sink;
        scores.clear();
        scores.resize(self.last + 1 - self.first, Lanes::ZERO);
        self.runs(
            0,
            #[inline(always)]
            |index, count, keys| {
                for i in (0..count).step_by(8) {
                    let n = (count - i).min(8);
                    let mut rows = [&keys[i * width..][..dim]; 8];
                    for (r, row) in rows.iter_mut().enumerate().take(n) {
                        *row = &keys[(i + r) * width..][..dim];
                    }
                    let dots = vectors.dot8(q, rows);
                    for (score, dot) in scores[index + i..][..n].iter_mut().zip(dots) {
                        *score = dot.map(
                            #[inline(always)]
                            |d| d * scale,
                        );
                        max = max.zip(
                            *score,
                            #[inline(always)]
                            |m, s| if s > m { s } else { m },
                        );
                    }
                }
            },
        );
        let mut total = sink.minus(max).exp();
        for score in scores.iter_mut() {
            *score = score.minus(max).exp();
            total = total.zip(
                *score,
                #[inline(always)]
                |t, s| t + s,
            );
        }
        total
    }

    /// `sums[d]` = sum over positions of weight times value.
    #[inline(always)]
    fn weighted_values(&self, vectors: Vectors, weights: &[Lanes], sums: &mut Vec<Lanes>) {
        let dim = self.pool.head_dim;
        let width = self.pool.kv_heads * dim;
        sums.clear();
        sums.resize(dim, Lanes::ZERO);
        self.runs(
            1,
            #[inline(always)]
            |index, count, values| {
                let weights = &weights[index..][..count];
                let (eights, rest) = sums.as_chunks_mut::<8>();
                for (e, sums) in eights.iter_mut().enumerate() {
                    vectors.accumulate(
                        sums,
                        count,
                        #[inline(always)]
                        |i| {
                            let v = &values[i * width + e * 8..][..8];
                            (weights[i], [v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]])
                        },
                    );
                }
                let done = dim - rest.len();
                for (r, sum) in rest.iter_mut().enumerate() {
                    for (i, w) in weights.iter().enumerate() {
                        sum.add_product(values[i * width + done + r], w);
                    }
                }
            },
        );
    }
}
