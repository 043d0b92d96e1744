"""Writes a training state as a Hugging Face checkpoint: `python export.py --state model.pt --output ..`."""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from model import CONFIG, GptOss, fake_fp4, fp4_parts

FP4_VALUES = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def is_expert_matrix(name):
    return name.endswith(("gate_up_proj", "down_proj"))


def rounded(model):
    """A copy that computes with exactly the values an export would store."""
    stored = GptOss()
    stored.load_state_dict(model.state_dict())
    with torch.no_grad():
        for name, parameter in stored.named_parameters():
            parameter.copy_(fake_fp4(parameter) if is_expert_matrix(name)
                            else parameter.bfloat16().float())
    for layer in stored.layers:
        layer.mlp.quantise = lambda weight: weight  # it is already on the grid
    return stored


def pack_fp4(weight):
    """(blocks, scales): two values a byte, the even element in the low nibble."""
    value, exponent = fp4_parts(weight)
    code = torch.bucketize(value.abs(), FP4_VALUES) + 8 * (value < 0)
    blocks = (code[..., ::2] | code[..., 1::2] << 4).to(torch.uint8)
    return blocks, (exponent.squeeze(-1) + 127).to(torch.uint8)


def unpack_fp4(blocks, scales):
    table = torch.cat([FP4_VALUES, -FP4_VALUES])
    code = torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2)
    return (table[code.int()] * torch.exp2(scales.float() - 127)[..., None]).flatten(-2)


def hugging_face_name(name):
    if name.startswith("lm_head"):
        return name
    name = name.replace("mlp.gate_up", "mlp.experts.gate_up").replace("mlp.down", "mlp.experts.down")
    return "model." + name


def checkpoint_tensors(model):
    tensors = {}
    for name, parameter in model.state_dict().items():
        target = hugging_face_name(name)
        if is_expert_matrix(name):
            tensors[f"{target}_blocks"], tensors[f"{target}_scales"] = pack_fp4(parameter)
        else:
            tensors[target] = parameter.to(torch.bfloat16)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def load_checkpoint(directory):
    """The exported model in float32, read back from its files."""
    tensors = load_file(directory / "model.safetensors")
    model = GptOss()
    for layer in model.layers:
        layer.mlp.quantise = lambda weight: weight
    state = {}
    for name in model.state_dict():
        source = hugging_face_name(name)
        state[name] = (unpack_fp4(tensors[f"{source}_blocks"], tensors[f"{source}_scales"])
                       if is_expert_matrix(name) else tensors[source].float())
    model.load_state_dict(state)
    return model


def configs(tokenizer):
    """config.json and its companions; control tokens are looked up by their content."""
    token = tokenizer.token_to_id
    stop = [token("<|return|>"), token("<|endoftext|>"), token("<|call|>")]
    layers = CONFIG["num_hidden_layers"]
    config = {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        **CONFIG,
        "experts_per_token": CONFIG["num_experts_per_tok"],
        "layer_types": ["full_attention" if i % 2 else "sliding_attention" for i in range(layers)],
        "attention_bias": True,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "initial_context_length": CONFIG["rope_scaling"]["original_max_position_embeddings"],
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
        "use_cache": True,
        "torch_dtype": "bfloat16",
        "eos_token_id": stop[0],
        "pad_token_id": stop[1],
        "quantization_config": {
            "quant_method": "mxfp4",
            "modules_to_not_convert": [
                "model.layers.*.self_attn", "model.layers.*.mlp.router",
                "model.embed_tokens", "lm_head",
            ],
        },
    }
    generation = {
        "bos_token_id": token("<|startoftext|>"), "do_sample": True,
        "eos_token_id": stop, "pad_token_id": stop[1],
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|startoftext|>",
        "eos_token": "<|return|>", "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False, "model_max_length": 131072,
    }
    return {"config.json": config, "generation_config.json": generation,
            "tokenizer_config.json": tokenizer_config}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True, help="model.pt beside tokenizer.json")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sharpen", type=float, default=1.0,
                        help="fixed factor on the unembedding, 1 to 2")
    args = parser.parse_args()
    assert 1 <= args.sharpen <= 2
    args.output.mkdir(parents=True, exist_ok=True)

    model = GptOss()
    model.load_state_dict(torch.load(args.state))
    with torch.no_grad():
        model.lm_head.weight *= args.sharpen
    save_file(checkpoint_tensors(model), args.output / "model.safetensors",
              metadata={"format": "pt"})
    tokenizer = Tokenizer.from_file(str(args.state.parent / "tokenizer.json"))
    tokenizer.save(str(args.output / "tokenizer.json"))
    for name, content in configs(tokenizer).items():
        (args.output / name).write_text(json.dumps(content, indent=2) + "\n")
    stored, read = rounded(model).state_dict(), load_checkpoint(args.output).state_dict()
    assert all(torch.equal(stored[name], read[name]) for name in stored)


if __name__ == "__main__":
    main()
