"""Writes golden.jsonl and checks this model against Hugging Face's: `python golden.py --model ..`.

The greedy answers and their float32 log-probabilities come from model.py with the exported
weights; the bfloat16 ones from GptOssForCausalLM, to show how much that precision alone moves.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GptOssForCausalLM, Mxfp4Config

import data
from export import load_checkpoint
from model import generate

PER_KIND = 3


def hugging_face(directory, dtype):
    return GptOssForCausalLM.from_pretrained(
        directory, dtype=dtype, attn_implementation="eager",
        quantization_config=Mxfp4Config(dequantize=True)).to(dtype).eval()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True, help="the exported directory")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    model = load_checkpoint(args.model)
    exact, coarse = hugging_face(args.model, torch.float32), hugging_face(args.model, torch.bfloat16)
    stop = tokenizer.token_to_id("<|return|>")
    rng = random.Random(11)
    worst, coarse_worst, lines = 0.0, 0.0, []
    for kind in data.KINDS:
        for i, question in enumerate(data.sample_distinct(kind, PER_KIND, rng)):
            prompt = tokenizer.encode(question.prompt()).ids
            answer = generate(model, [prompt], {stop}, 128, temperature=0)[0] + [stop]
            tokens = torch.tensor([prompt + answer])
            at = torch.arange(len(prompt) - 1, tokens.shape[1] - 1)
            own = model.lm_head(model(tokens))[0, at]
            theirs = exact(tokens).logits[0, at]
            worst = max(worst, (own - theirs).abs().max().item())

            def chosen(logits):
                odds = torch.log_softmax(logits.float(), -1)
                return odds.gather(-1, torch.tensor(answer)[:, None])[:, 0]

            low = chosen(coarse(tokens).logits[0, at])
            coarse_worst = max(coarse_worst, (low - chosen(own)).abs().max().item())
            lines.append(json.dumps({
                "id": f"{kind}{i}", "kind": kind, "input_tokens": prompt, "output_tokens": answer,
                "logprobs_f32": [round(v, 7) for v in chosen(own).tolist()],
                "logprobs_bf16": [round(v, 7) for v in low.tolist()],
            }))
    (args.model / "golden.jsonl").write_text("\n".join(lines) + "\n")
    print(f"largest float32 logit difference from Hugging Face: {worst:.2e}")
    print(f"largest log-probability difference of bfloat16: {coarse_worst:.2e}")


if __name__ == "__main__":
    main()
