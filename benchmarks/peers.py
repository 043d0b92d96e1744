#!/usr/bin/env python3
"""What other libraries' kernels take for the work that `ossmark bench kernels` times, on this machine's GPU, under the
operations and shapes that it prints; and the two ceilings that shares are of: a large copy and a large bf16 product.

    peers.py OUT.json torch                 the ceilings, and PyTorch's kernels
    peers.py OUT.json experts FOLDER        OpenAI's triton_kernels for the experts, imported from FOLDER

OUT.json is added to, and written after every row: a run that is killed loses only what it had not measured. A row that a
library lacks, fails at or gets wrong costs that row alone and is printed as `not had`, with why. Exit 1 when there are no
ceilings, 0 otherwise, whichever peers were had.

Times are medians of 20 in microseconds, with the second-level cache emptied before each. What is timed is a recording (CUDA
graph), so that the host's own time for launches is left out, as engines do it; where nothing could be recorded, the launches.
"""

import argparse
import json
import os
import sys
import time

DEVICE = "cuda"
RUNS = 20
FLUSH_BYTES = 256 << 20  # five times an H100's second-level cache
# gpt-oss-120b, and the rows of `ossmark bench kernels`.
HIDDEN, VOCABULARY, HEADS, KV_HEADS, HEAD_DIM, EXPERTS, TOP_K = 2880, 201088, 64, 8, 64, 128, 4
DECODE_ROWS, PREFILL_ROWS, CONTEXT, WINDOW = (1, 8, 64, 256), (512, 2048, 8192), 2048, 128


class Wrong(Exception):
    """A peer's result is away from its reference."""


class Book:
    """Everything measured, written after every row."""

    def __init__(self, path, seconds):
        self.path, self.until = path, time.monotonic() + seconds
        self.data = {}
        if os.path.exists(path):
            with open(path) as f:
                self.data = json.load(f)
        self.data.setdefault("peers_us", [])
        self.data.setdefault("not_had", [])

    def put(self, **entries):
        self.data.update(entries)
        part = self.path + ".part"
        with open(part, "w") as f:
            json.dump(self.data, f, indent=1)
        os.replace(part, self.path)

    def peer(self, name, op, shape, make, notes=None):
        """One row: `make` gives what is to be timed, after checking it where it has a reference; it may add to `notes`."""
        row = {"peer": name, "op": op, "shape": shape}
        line = f"{name:<28} {op:<34} {shape:<24}"
        try:
            if time.monotonic() > self.until:
                raise TimeoutError("no time was left")
            us, how = median_us(make())
        except Exception as e:  # noqa: BLE001: whatever a peer does, the other rows are measured
            row["why"] = f"{type(e).__name__}: {e}".splitlines()[0][:200]
            self.data["not_had"].append(row)
            print(f"{line} not had: {row['why']}", flush=True)
        else:
            self.data["peers_us"].append({**row, "us": us, "how": how, **(notes or {})})
            print(f"{line} {us:10.1f} us {how}", flush=True)
        self.put()


_flush = None


def median_us(work, cold=True):
    """Median time of `work`, and whether it was recorded or launched."""
    import torch

    global _flush
    if _flush is None:
        _flush = torch.empty(FLUSH_BYTES, device=DEVICE, dtype=torch.uint8)
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    how = "recorded"
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        run = graph.replay
        run()
        torch.cuda.synchronize()
    except Exception:  # noqa: BLE001: an operation that waits for the device cannot be recorded
        run, how = work, "launched"
    times = []
    for _ in range(RUNS):
        if cold:
            _flush.zero_()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) * 1e3)
    return sorted(times)[RUNS // 2], how


def random(*shape):
    import torch

    return torch.randn(*shape, device=DEVICE, dtype=torch.bfloat16)


def ceilings(book):
    """The copy counts bytes read and bytes written; both work on random numbers, since zeros run faster."""
    import torch

    x = random(2 << 30)
    y = torch.empty_like(x)
    copy = 2 * x.numel() * 2 / median_us(lambda: y.copy_(x), cold=False)[0] / 1e3
    del x, y
    a, b = random(8192, 8192), random(8192, 8192)
    product = 2 * 8192**3 / median_us(lambda: a @ b, cold=False)[0] / 1e6
    device = torch.cuda.get_device_name()
    print(f"{device}: copy {copy:.0f} GB/s, bf16 product {product:.0f} TFLOP/s", flush=True)
    book.put(device=device, torch=torch.__version__, copy_gbs=copy, bf16_tflops=product)


def torch_peers(book):
    import torch
    import torch.nn.functional as F

    def peer(op, shape, make, differs=None):
        book.peer("torch", op, shape, make, {"differs": differs} if differs else None)

    def linear(name, outs, cols, rows):
        def make():
            key = (outs, cols)
            if key not in weights:
                weights[key] = random(outs, cols)
            x, w = random(rows, cols), weights[key]
            return lambda: x @ w.T

        peer(f"linear {name}", f"{rows} rows", make)

    def rmsnorm(rows):
        def make():
            x, w = random(rows, HIDDEN), random(HIDDEN)
            return lambda: F.rms_norm(x, (HIDDEN,), w, 1e-5)

        peer("rmsnorm", f"{rows} rows", make)

    def decode(name, seen, rows):
        def make():
            q = random(rows, HEADS, 1, HEAD_DIM)
            k, v = random(rows, KV_HEADS, seen, HEAD_DIM), random(rows, KV_HEADS, seen, HEAD_DIM)
            return lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

        peer(f"attention {name}", f"{rows} rows at {seen}", make, differs="no sinks; keys and values in one piece")

    def prefill(rows):
        def make():
            q, k, v = (random(1, heads, rows, HEAD_DIM) for heads in (HEADS, KV_HEADS, KV_HEADS))
            return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

        peer("attention full", f"{rows} rows of prefill", make, differs="no sinks; keys and values in one piece")

    def sample(rows):
        def make():
            logits = random(rows, VOCABULARY)
            return lambda: torch.multinomial(torch.softmax(logits.float(), -1), 1)

        peer("sample", f"{rows} rows of {VOCABULARY}", make)

    def route(rows):
        def make():
            logits = random(rows, EXPERTS)

            def work():
                best, chosen = torch.topk(logits.float(), TOP_K, dim=-1)
                return torch.softmax(best, dim=-1), torch.argsort(chosen.flatten())

            return work

        peer("route", f"{rows} rows", make, differs="top 4, softmax and the order of pairs only")

    def rope_kv(rows):
        def make():
            x, turn = random(rows, HEADS + KV_HEADS, HEAD_DIM), random(rows, 1, HEAD_DIM // 2).float()
            pool = torch.zeros(rows * 16, 2 * KV_HEADS * HEAD_DIM, device=DEVICE, dtype=torch.bfloat16)
            at, kv = torch.arange(rows, device=DEVICE) * 16, random(rows, 2 * KV_HEADS * HEAD_DIM)

            def work():
                first, second = x[..., : HEAD_DIM // 2].float(), x[..., HEAD_DIM // 2 :].float()
                x.copy_(torch.cat([first * turn - second * turn, second * turn + first * turn], -1))
                pool.index_copy_(0, at, kv)

            return work

        peer("rope and kv write", f"{rows} rows", make)

    weights = {}
    for rows in DECODE_ROWS:
        for name, outs, cols in (("qkv", 5120, HIDDEN), ("out", HIDDEN, 4096), ("router", EXPERTS, HIDDEN)):
            linear(name, outs, cols, rows)
        linear("head", VOCABULARY, HIDDEN, rows)
        rmsnorm(rows)
        for name, seen in (("full", CONTEXT), ("window", WINDOW)):
            decode(name, seen, rows)
        sample(rows)
        route(rows)
        rope_kv(rows)
    for rows in PREFILL_ROWS:
        linear("qkv", 5120, HIDDEN, rows)
        linear("out", HIDDEN, 4096, rows)
        prefill(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("what", choices=["torch", "experts"])
    parser.add_argument("folder", nargs="?", help="experts: the folder that holds triton_kernels/")
    parser.add_argument("--seconds", type=float, default=3600, help="no row is begun later than this")
    args = parser.parse_args()
    book = Book(args.out, args.seconds)
    try:
        import torch  # noqa: F401
    except ImportError as e:
        print(f"no ceilings and no peers: {e}")
        return 1
    if args.what == "experts":
        import peers_experts

        peers_experts.measure(book, args.folder)
        return 0
    try:
        ceilings(book)
    except Exception as e:  # noqa: BLE001: the peers' reasons are worth having too
        print(f"no ceilings: {type(e).__name__}: {e}".splitlines()[0], flush=True)
    torch_peers(book)
    return 0 if "copy_gbs" in book.data else 1


if __name__ == "__main__":
    # So that peers_experts imports this module, and not a second copy of it.
    sys.modules["peers"] = sys.modules["__main__"]
    sys.exit(main())
