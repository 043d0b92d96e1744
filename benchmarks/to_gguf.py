#!/usr/bin/env python3
"""A checkpoint of Hugging Face's layout as GGUF for llama.cpp, the same numbers: MXFP4 and bf16 as they are, vectors in f32.

    benchmarks/to_gguf.py DIR FILE.gguf

Needs gguf and numpy. llama.cpp's own converter does this too, with torch and transformers and the tokenizer; this one leaves the
tokenizer out, which benchmarks/cpu_peer.py does not need. Its comparison of greedy tokens is what shows that both compute the same.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np

MXFP4, BF16 = gguf.GGMLQuantizationType.MXFP4, gguf.GGMLQuantizationType.BF16


class Checkpoint:
    """Tensors of a folder's safetensors files, mapped."""

    def __init__(self, folder):
        self.tensors = {}
        for file in sorted(folder.glob("*.safetensors")):
            data = np.memmap(file, np.uint8, "r")
            size = int.from_bytes(data[:8].tobytes(), "little")
            for name, t in json.loads(data[8 : 8 + size].tobytes()).items():
                if name != "__metadata__":
                    begin, end = (8 + size + offset for offset in t["data_offsets"])
                    kind = {"BF16": np.uint16, "F32": np.float32, "U8": np.uint8}[t["dtype"]]
                    self.tensors[name] = data[begin:end].view(kind).reshape(t["shape"])

    def __getitem__(self, name):
        return self.tensors[name]

    def f32(self, name):
        x = self[name]
        return x if x.dtype == np.float32 else (x.astype(np.uint32) << 16).view(np.float32)


def mxfp4(blocks, scales):
    """ggml's blocks: the scale, then 16 bytes whose low nibbles are the first 16 elements."""
    nibbles = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:-1], 32)
    packed = nibbles[..., :16] | nibbles[..., 16:] << 4
    out = np.concatenate([scales[..., None], packed], axis=-1)
    return np.ascontiguousarray(out.reshape(*out.shape[:-2], -1))


def main():
    folder, file = Path(sys.argv[1]), sys.argv[2]
    config, ckpt = json.loads((folder / "config.json").read_text()), Checkpoint(folder)
    w = gguf.GGUFWriter(file, "gpt-oss")
    w.add_vocab_size(config["vocab_size"])
    w.add_tokenizer_model("no_vocab")
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_expert_feed_forward_length(config["intermediate_size"])
    w.add_expert_count(config["num_local_experts"])
    w.add_expert_used_count(config["num_experts_per_tok"])
    w.add_head_count(config["num_attention_heads"])
    w.add_head_count_kv(config["num_key_value_heads"])
    w.add_key_length(config["head_dim"])
    w.add_value_length(config["head_dim"])
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_sliding_window(config["sliding_window"])
    scaling = config["rope_scaling"]
    w.add_rope_freq_base(config["rope_theta"])
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(scaling["factor"])
    w.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])

    def matrix(to, name):
        w.add_tensor(to + ".weight", np.ascontiguousarray(ckpt[name + ".weight"]).view(np.uint8), raw_dtype=BF16)

    def vector(to, name):
        w.add_tensor(to, np.ascontiguousarray(ckpt.f32(name)))

    matrix("token_embd", "model.embed_tokens")
    matrix("output", "lm_head")
    vector("output_norm.weight", "model.norm.weight")
    for i in range(config["num_hidden_layers"]):
        at, to = f"model.layers.{i}.", f"blk.{i}."
        vector(to + "attn_norm.weight", at + "input_layernorm.weight")
        vector(to + "post_attention_norm.weight", at + "post_attention_layernorm.weight")
        vector(to + "attn_sinks.weight", at + "self_attn.sinks")
        for mine, theirs in (("q", "attn_q"), ("k", "attn_k"), ("v", "attn_v"), ("o", "attn_output")):
            matrix(to + theirs, f"{at}self_attn.{mine}_proj")
            vector(f"{to}{theirs}.bias", f"{at}self_attn.{mine}_proj.bias")
        # llama.cpp keeps the router in f32.
        vector(to + "ffn_gate_inp.weight", at + "mlp.router.weight")
        vector(to + "ffn_gate_inp.bias", at + "mlp.router.bias")
        experts = at + "mlp.experts."
        up = [ckpt[f"{experts}gate_up_proj_{part}"] for part in ("blocks", "scales")]
        bias = ckpt.f32(experts + "gate_up_proj_bias")
        for first, theirs in ((0, "ffn_gate_exps"), (1, "ffn_up_exps")):
            w.add_tensor(f"{to}{theirs}.weight", mxfp4(*(x[:, first::2] for x in up)), raw_dtype=MXFP4)
            w.add_tensor(f"{to}{theirs}.bias", np.ascontiguousarray(bias[:, first::2]))
        down = (ckpt[f"{experts}down_proj_{part}"] for part in ("blocks", "scales"))
        w.add_tensor(to + "ffn_down_exps.weight", mxfp4(*down), raw_dtype=MXFP4)
        vector(to + "ffn_down_exps.bias", experts + "down_proj_bias")
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
