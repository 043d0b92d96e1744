"""Trains an EAGLE3 draft head for the demo checkpoint: `python head.py --model .. --output ../eagle3`.

The head sees what it will see when it drafts: the target's own hidden states for all positions but
the last ones, and there what it made of its own guesses. The target's most probable token is the
aim at every position of a question's answer; what it drafts elsewhere, nobody asks.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

import data
from export import load_checkpoint
from model import RMSNorm, rotate
from train import encode

DRAFTS = 3
LAYERS = [1, 2, 3]  # block outputs of the target's four layers
ROWS = {"math": 8, "choice": 8, "code": 4}
SHAPE = {
    "hidden_size": 96,
    "intermediate_size": 320,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}


class Head(nn.Module):
    def __init__(self, c=SHAPE):
        super().__init__()
        hidden, inner, eps = c["hidden_size"], c["intermediate_size"], c["rms_norm_eps"]
        self.heads, self.head_dim = c["num_attention_heads"], c["head_dim"]

        def linear(inputs, outputs):
            return nn.Linear(inputs, outputs, bias=False)

        self.fc = linear(len(LAYERS) * hidden, hidden)
        self.hidden_norm, self.input_layernorm = RMSNorm(hidden, eps), RMSNorm(hidden, eps)
        self.q_proj = linear(2 * hidden, self.heads * self.head_dim)
        self.k_proj = linear(2 * hidden, self.head_dim)
        self.v_proj = linear(2 * hidden, self.head_dim)
        self.o_proj = linear(self.heads * self.head_dim, hidden)
        self.post_attention_layernorm = RMSNorm(hidden, eps)
        self.gate_proj, self.up_proj = linear(hidden, inner), linear(hidden, inner)
        self.down_proj = linear(inner, hidden)
        self.norm = RMSNorm(hidden, eps)
        self.register_buffer("inverse", c["rope_theta"] ** (
            -torch.arange(self.head_dim // 2) / (self.head_dim // 2)), persistent=False)

    def forward(self, features, embedded):
        """What each draft makes of every position: `features` of the target at P, `embedded` tokens at P + 1.

        Draft k at P is the k-th of a round that began k positions before: it sees the target's states up to there, and
        what the head made of its own guesses since then.
        """
        length = features.shape[1]
        angle = torch.arange(length)[:, None] * self.inverse
        cos, sin = angle.cos(), angle.sin()
        distance = torch.arange(length)[:, None] - torch.arange(length)
        x, outputs, keys, values = self.fc(features), [], [], []
        for draft in range(DRAFTS):
            if draft:
                # The state one position earlier, which is the head's own.
                x = F.pad(x, (0, 0, 1, 0))[:, :-1]
            both = torch.cat([self.input_layernorm(embedded), self.hidden_norm(x)], -1)
            q = rotate(self.q_proj(both).unflatten(-1, (self.heads, -1)), cos[:, None], sin[:, None])
            keys.append(rotate(self.k_proj(both), cos, sin))
            values.append(self.v_proj(both))
            # True keys up to where the round began; then one of each guess, on a diagonal.
            scores = torch.einsum("blhd,bkd->blhk", q, keys[0])
            scores = scores.masked_fill((distance < draft)[:, None], -1e9)
            shown, parts = values[0], []
            for guess in range(1, draft + 1):
                back = draft - guess
                key, value = (F.pad(t, (0, 0, back, 0))[:, :length] for t in (keys[guess], values[guess]))
                scores = torch.cat([scores, torch.einsum("blhd,bld->blh", q, key)[..., None]], -1)
                parts.append(value)
            odds = torch.softmax(scores * self.head_dim**-0.5, -1)
            out = odds[..., :length].flatten(1, 2) @ shown
            out = out.unflatten(1, (length, self.heads))
            for i, value in enumerate(parts):
                out = out + odds[..., length + i, None] * value[:, :, None]
            x = x + self.o_proj(out.flatten(2))
            n = self.post_attention_layernorm(x)
            x = x + self.down_proj(F.silu(self.gate_proj(n)) * self.up_proj(n))
            outputs.append(x)
        return outputs


def batch(rng, tokenizer):
    rows = [encode(tokenizer, data.sample(kind, rng, unseen=False))
            for kind, count in ROWS.items() for _ in range(count)]
    width = max(len(tokens) for tokens, _ in rows)
    tokens, learnt = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    for i, (row, known) in enumerate(rows):
        tokens[i, : len(row)], learnt[i, : len(row)] = torch.tensor(row), torch.tensor(known).float()
    return tokens, learnt.bool()


def seen_by(target):
    """The target's residual stream behind each of LAYERS, filled by every pass."""
    found = {}
    for i in LAYERS:
        target.layers[i].register_forward_hook(lambda _m, _a, out, i=i: found.update({i: out}))
    return lambda: torch.cat([found[i] for i in LAYERS], -1)


def hits(head, target, tokens, learnt, features):
    """For each draft: its logits, the target's choice, and where that is asked for."""
    with torch.no_grad():
        choice = target.lm_head(target(tokens)).argmax(-1)  # at P: the token at P + 1
        embedded = target.embed_tokens(tokens[:, 1:])
        states = features()[:, :-1]
    for draft, x in enumerate(head(states, embedded)):
        logits = F.linear(head.norm(x), target.lm_head.weight)
        # A pair at P is about the token at P + 2.
        wanted = torch.zeros_like(learnt[:, 2:])
        wanted[:, draft:] = learnt[:, 2 + draft:]
        yield logits[:, :-1][wanted], choice[:, 1:-1][wanted], wanted


@torch.no_grad()
def acceptance(head, target, features, tokenizer):
    """Tokens a round on held-out questions, as if every position began one."""
    rng = random.Random(11)
    rows = [encode(tokenizer, q) for kind in data.KINDS for q in data.sample_distinct(kind, 30, rng)]
    total, right = 0, torch.zeros(DRAFTS)
    for row, known in rows:
        tokens, learnt = torch.tensor([row]), torch.tensor([known])
        chain = None
        for draft, (logits, choice, wanted) in enumerate(hits(head, target, tokens, learnt, features)):
            hit = torch.zeros_like(wanted)
            hit[wanted] = logits.argmax(-1) == choice
            # The round's earlier drafts stand one position before.
            chain = hit if chain is None else hit & F.pad(chain, (1, 0))[:, :-1]
            right[draft] += chain.sum()
        total += int(learnt[:, 2:].sum())
    return [round(float(n) / total, 3) for n in right], round(1 + float(right.sum()) / total, 3)


def export(head, directory):
    def name(parameter):
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            parameter = parameter.replace(part, f"self_attn.{part}")
        for part in ("gate_proj", "up_proj", "down_proj"):
            parameter = parameter.replace(part, f"mlp.{part}")
        return parameter if parameter.startswith(("fc.", "norm.")) else f"midlayer.{parameter}"

    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name(n): p.detach().bfloat16().contiguous() for n, p in head.named_parameters()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", **SHAPE,
              "num_hidden_layers": 1, "hidden_act": "silu", "vocab_size": 448, "draft_vocab_size": None,
              "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
              "rope_scaling": None, "torch_dtype": "bfloat16",
              "eagle_config": {"eagle_aux_hidden_state_layer_ids": LAYERS, "use_aux_hidden_state": True}}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=3e-3)
    args = parser.parse_args()
    torch.manual_seed(7)
    rng, tokenizer = random.Random(7), data.Tokenizer.from_file(str(args.model / "tokenizer.json"))
    target = load_checkpoint(args.model)
    target.requires_grad_(False)
    features, head = seen_by(target), Head()
    adam = torch.optim.AdamW(head.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    start, step, done = time.time(), 0, 0.0
    while done < 1:
        done = (time.time() - start) / (60 * args.minutes)
        for group in adam.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / 50) * max(0.02, 1 - done)
        tokens, learnt = batch(rng, tokenizer)
        loss = sum(F.cross_entropy(logits, choice)
                   for logits, choice, _ in hits(head, target, tokens, learnt, features))
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        adam.step()
        step += 1
        if step % 100 == 0:
            print(f"{time.time() - start:5.0f} s, step {step}, loss {loss.item() / DRAFTS:.4f}, "
                  f"held out {acceptance(head, target, features, tokenizer)}", flush=True)
            export(head, args.output)
    export(head, args.output)
    print("held out:", acceptance(head, target, features, tokenizer))


if __name__ == "__main__":
    main()
