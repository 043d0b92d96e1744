"""The experts by OpenAI's triton_kernels (what vLLM runs for MXFP4 on Hopper), as `peers.py OUT.json experts FOLDER`.

FOLDER holds `triton_kernels/`, as the vllm 0.22.0 wheel has it in `vllm/third_party` (`.ci/gpu pack` puts it there; it is no
part of this repository). Written after that version's interface, 3.5.1's: `routing`, then `matmul_ogs` twice, the first
with the clamped swiglu in its epilogue, the second with the scatter to rows and their sum; weights in Hopper's own layouts,
eight warps, no split of k, as vLLM sets it up. Weights are random; a shape whose first rows are away from the same sum in f32
is not timed.
"""

import sys

import peers

INTERMEDIATE = 2880
ALPHA, LIMIT = 1.702, 7.0  # of gpt-oss's swiglu
MOST_ERROR = 2e-2  # two roundings to bf16; `bench kernels` allows 1e-2 between two of ours
CHECKED_ROWS = 4
FP4 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
FP4 += [-x for x in FP4]


class Weights:
    """One product's: as a checkpoint has them, and as the library wants them."""

    def __init__(self, outs, cols):
        import torch
        from triton_kernels.matmul_ogs import FlexCtx, PrecisionConfig
        from triton_kernels.numerics import InFlexData
        from triton_kernels.tensor import FP4 as fp4_type
        from triton_kernels.tensor import convert_layout, wrap_torch_tensor
        from triton_kernels.tensor_details import layout

        def bits(low, high, *shape):
            return torch.randint(low, high, (peers.EXPERTS, outs, *shape), device=peers.DEVICE, dtype=torch.uint8)

        # Two columns to a byte, the even one low; a scale to 32 columns. 2^-7 and less keep sums near 1.
        self.values, self.scales = bits(0, 256, cols // 2), bits(118, 121, cols // 32)
        self.bias = torch.randn(peers.EXPERTS, outs, device=peers.DEVICE, dtype=torch.float32) * 0.1
        # The library wants columns first, in memory as they are.
        how, options = layout.make_default_matmul_mxfp4_w_layout(mx_axis=1)
        values = wrap_torch_tensor(self.values.transpose(-2, -1), dtype=fp4_type)
        self.packed = convert_layout(values, how, **options)
        how, options = layout.make_default_matmul_mxfp4_w_scale_layout(mx_axis=1, num_warps=8)
        scales = convert_layout(wrap_torch_tensor(self.scales.transpose(-2, -1)), how, **options)
        self.precision = PrecisionConfig(weight_scale=scales, flex_ctx=FlexCtx(rhs_data=InFlexData()))

    def in_f32(self, expert):
        import torch

        numbers = torch.tensor(FP4, device=peers.DEVICE)
        byte = self.values[expert].int()
        pairs = torch.stack([numbers[byte & 15], numbers[byte >> 4]], -1).flatten(-2)
        return pairs * torch.exp2(self.scales[expert].float() - 127).repeat_interleave(32, -1)


def reference(x, logits, up, down):
    """The same sums in f32 (the first product's result in bf16, as both sides keep it), row by row."""
    import torch

    rows = []
    for row, scores in zip(x.float(), logits.float()):
        best, chosen = torch.topk(scores, peers.TOP_K)
        total = 0
        for weight, expert in zip(torch.softmax(best, -1), chosen.tolist()):
            both = up.in_f32(expert) @ row + up.bias[expert]
            gate, linear = both[0::2].clamp(max=LIMIT), both[1::2].clamp(-LIMIT, LIMIT)
            inner = (gate * torch.sigmoid(ALPHA * gate) * (linear + 1)).bfloat16().float()
            total = total + weight * (down.in_f32(expert) @ inner + down.bias[expert])
        rows.append(total)
    return torch.stack(rows)


def prepared():
    """Both products' weights, and the two calls."""
    from triton_kernels.matmul_ogs import FnSpecs, FusedActivation, matmul_ogs
    from triton_kernels.matmul_ogs_details import opt_flags
    from triton_kernels.swiglu import swiglu_fn

    opt_flags.update_opt_flags_constraints({"split_k": 1})
    swiglu = FusedActivation(FnSpecs("swiglu", swiglu_fn, ("alpha", "limit")), (ALPHA, LIMIT), 2)
    up, down = Weights(2 * INTERMEDIATE, peers.HIDDEN), Weights(peers.HIDDEN, INTERMEDIATE)

    def products(x, routed):
        routing, gather, scatter = routed
        inner = matmul_ogs(
            x, up.packed, up.bias, routing, gather_indx=gather, precision_config=up.precision, fused_activation=swiglu
        )
        return matmul_ogs(
            inner, down.packed, down.bias, routing, scatter_indx=scatter, precision_config=down.precision, gammas=routing.gate_scal
        )

    return up, down, products


def measure(book, folder):
    ready = []

    def case(rows, routes):
        def make():
            import torch

            if not ready:
                sys.path.insert(0, folder or ".")
                import triton_kernels.routing  # noqa: F401: fails here if the folder is not there

                ready.append(prepared())
            from triton_kernels.routing import routing

            up, down, products = ready[0]
            x, logits = peers.random(rows, peers.HIDDEN), peers.random(rows, peers.EXPERTS)
            routed = routing(logits, peers.TOP_K)
            notes["experts"] = int((routed[0].expt_hist > 0).sum())
            few = min(rows, CHECKED_ROWS)
            expected = reference(x[:few], logits[:few], up, down)
            found = products(x, routed)[:few].float()
            error = (torch.linalg.norm(found - expected) / torch.linalg.norm(expected)).item()
            # NaN is no agreement.
            if not error <= MOST_ERROR:
                raise peers.Wrong(f"{error:.2e} away from f32, at most {MOST_ERROR:.0e} expected")
            if routes:
                return lambda: products(x, routing(logits, peers.TOP_K))
            return lambda: products(x, routed)

        name = "triton_kernels" if routes else "triton_kernels, routed"
        notes = {} if routes else {"differs": "routing is given, not timed"}
        book.peer(name, "experts with route", f"{rows} rows", make, notes)

    # Decode and prefill first, for each number of rows an expert has its own kernels, which take their time to compile.
    for rows in (64, 8192, 1, 256, 2048, 8, 512):
        case(rows, True)
        case(rows, False)
