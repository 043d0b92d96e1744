//! `kernels/rope_kv.cu`: the same bits as the two operations that it stands for.

use ossmark_engine::KvDtype;
use ossmark_engine::config::LayerKind;
use ossmark_engine::cuda::CudaOps;
use ossmark_engine::ops::{KvLayer, Ops};

use crate::bench::{Bench, KV, has_cuda};
use crate::tiny::Tiny;

/// Queries, and what attention finds in the pool, for sequences `(start, rows)`.
fn done(b: &mut Bench<CudaOps>, seqs: &[(u32, usize)], x: &[f32], fused: bool) -> [Vec<f32>; 2] {
    let m = b.m.clone();
    let (rows, cols) = (
        seqs.iter().map(|s| s.1).sum(),
        (m.heads + 2 * m.kv_heads) * m.head_dim,
    );
    let source = b.sources.layers[0].attention.sinks.clone();
    let sinks = b.ops.vector(&source).unwrap();
    let mut read = [Vec::new(), Vec::new()];
    for (kind, index) in [(LayerKind::Window, 0), (LayerKind::Full, 1)] {
        let layer = KvLayer { kind, index };
        b.begin(seqs);
        // What is not written must not be found from the run before.
        let nothing = b.filled(&vec![0.0; rows * cols], cols);
        b.ops.kv_write(&nothing, layer).unwrap();
        let mut qkv = b.filled(x, cols);
        if fused {
            b.ops.rope_kv(&mut qkv, layer).unwrap();
        } else {
            b.ops.rope(&mut qkv).unwrap();
            b.ops.kv_write(&qkv, layer).unwrap();
        }
        let mut out = b.poisoned(rows, m.heads * m.head_dim);
        b.ops.attention(&qkv, layer, &sinks, &mut out).unwrap();
        let queries = m.heads * m.head_dim;
        let all = b.read(&qkv, rows);
        read[0].extend(all.chunks(cols).flat_map(|row| &row[..queries]));
        read[1].extend(b.read(&out, rows));
    }
    read
}

fn agrees(m: &Tiny, seqs: &[(u32, usize)]) {
    for kv in [KvDtype::AsActivations, KvDtype::Fp8] {
        KV.set(kv);
        let mut b = Bench::<CudaOps>::new(m);
        let rows: usize = seqs.iter().map(|s| s.1).sum();
        let x = b.random(rows * (m.heads + 2 * m.kv_heads) * m.head_dim);
        let [queries, found] = done(&mut b, seqs, &x, true);
        let [expected_queries, expected] = done(&mut b, seqs, &x, false);
        assert!(queries == expected_queries, "{kv:?}: queries of {seqs:?}");
        assert!(found == expected, "{kv:?}: keys and values of {seqs:?}");
        assert!(found.iter().all(|x| x.is_finite()) && found.iter().any(|x| *x != 0.0));
    }
}

mod cuda {
    use super::*;

    #[test]
    fn as_the_two_operations() {
        if !has_cuda("rope_kv::cuda::as_the_two_operations") {
            return;
        }
        let m = Tiny {
            layers: "wfwf",
            window: 16,
            ..Tiny::default()
        };
        agrees(&m, &[(0, 1)]);
        agrees(&m, &[(0, 40), (0, 3)]);
        let one_kv_head = Tiny {
            heads: 11,
            kv_heads: 1,
            head_dim: 36,
            ..m.clone()
        };
        agrees(&one_kv_head, &[(0, 17), (0, 2)]);
        let real_heads = Tiny {
            heads: 64,
            kv_heads: 8,
            ..m
        };
        agrees(&real_heads, &[(0, 5), (0, 1)]);
    }
}
