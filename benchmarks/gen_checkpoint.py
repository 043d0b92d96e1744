#!/usr/bin/env python3
"""A random checkpoint of gpt-oss's width in Hugging Face's layout, experts in MXFP4: for speed where the real one is not at hand.

    benchmarks/gen_checkpoint.py DIR [--layers 4] [--vocab 32768] [--experts 32]

Needs numpy. OSSMARK_REPO names the project whose demo lends configuration and tokenizer [default: this file's]. The embedding and
the head are spread out, so that the first of a row's logits stands clear of the second and greedy tokens can be compared.
"""

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np

HEADS, KV_HEADS, HEAD_DIM = 64, 8, 64


def tensors(args, rng):
    """Name, shape, type and maker of each tensor, in the order of the file."""

    def normal(*shape, std):
        x = rng.standard_normal(shape, dtype=np.float32) * np.float32(std)
        return ((x.view(np.uint32) + 0x8000) >> 16).astype(np.uint16)

    def ones(*shape):
        return np.full(shape, 0x3F80, np.uint16)

    def integers(*shape, low=0, high=256):
        return rng.integers(low, high, shape, dtype=np.uint8)

    def dense(name, *shape, std):
        return name, shape, "BF16", lambda: normal(*shape, std=std)

    def norm(name):
        return name, (args.hidden,), "BF16", lambda: ones(args.hidden)

    hidden, experts = args.hidden, args.experts
    yield dense("model.embed_tokens.weight", args.vocab, hidden, std=1.0)
    yield dense("lm_head.weight", args.vocab, hidden, std=0.05)
    yield norm("model.norm.weight")
    for i in range(args.layers):
        at = f"model.layers.{i}."
        yield norm(at + "input_layernorm.weight")
        yield norm(at + "post_attention_layernorm.weight")
        q, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
        for part, rows, cols in (("q", q, hidden), ("k", kv, hidden), ("v", kv, hidden), ("o", hidden, q)):
            yield dense(f"{at}self_attn.{part}_proj.weight", rows, cols, std=cols**-0.5)
            yield dense(f"{at}self_attn.{part}_proj.bias", rows, std=0.05)
        yield dense(at + "self_attn.sinks", HEADS, std=1.0)
        yield dense(at + "mlp.router.weight", experts, hidden, std=hidden**-0.5)
        yield dense(at + "mlp.router.bias", experts, std=0.1)
        for part, rows in (("gate_up", 2 * hidden), ("down", hidden)):
            name, blocks = f"{at}mlp.experts.{part}_proj_", (experts, rows, hidden // 32)
            yield dense(name + "bias", experts, rows, std=0.05)
            yield name + "blocks", (*blocks, 16), "U8", lambda b=blocks: integers(*b, 16)
            yield name + "scales", blocks, "U8", lambda b=blocks: integers(*b, low=118, high=121)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocab", type=int, default=32768)
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=2880)
    args = parser.parse_args()
    demo = Path(os.environ.get("OSSMARK_REPO", Path(__file__).resolve().parent.parent)) / "demo"
    args.out.mkdir(parents=True, exist_ok=True)

    todo = list(tensors(args, np.random.Generator(np.random.SFC64(1))))
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, kind, _ in todo:
        size = int(np.prod(shape)) * (2 if kind == "BF16" else 1)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file = args.out / "model.safetensors"
    with file.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for *_, make in todo:
            f.write(make().tobytes())

    config = json.loads((demo / "config.json").read_text())
    config.update(
        vocab_size=args.vocab,
        hidden_size=args.hidden,
        intermediate_size=args.hidden,
        num_hidden_layers=args.layers,
        num_local_experts=args.experts,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        layer_types=["full_attention" if i % 2 else "sliding_attention" for i in range(args.layers)],
    )
    (args.out / "config.json").write_text(json.dumps(config, indent=1))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(demo / name, args.out)
    print(f"{file}: {file.stat().st_size / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
