"""Trains the demo checkpoint on a CPU: `python train.py --output DIR [--minutes 50]`.

Muon for the matrices and AdamW for the rest; the learning rate follows the wall clock, so the
schedule always ends, however fast the machine is.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import data
from export import rounded
from model import CONFIG, GptOss, generate

ROWS = {"math": 28, "choice": 16, "code": 8}  # per step: the harder kinds get more of the tokens


def orthogonal(update):
    """The nearest (semi-)orthogonal matrix, roughly, by Newton-Schulz iteration."""
    tall = update.shape[-2] > update.shape[-1]
    x = update.mT if tall else update
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class Muon:
    """Momentum, orthogonalised per matrix; stacks of expert matrices are handled as batches."""

    def __init__(self, parameters, momentum=0.95, decay=0.02):
        self.parameters, self.momentum, self.decay = list(parameters), momentum, decay
        self.average = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, rate):
        for parameter, average in zip(self.parameters, self.average):
            average.lerp_(parameter.grad, 1 - self.momentum)
            update = orthogonal(parameter.grad.lerp(average, self.momentum))
            shape = max(1.0, parameter.shape[-2] / parameter.shape[-1]) ** 0.5
            parameter.mul_(1 - rate * self.decay).sub_(update, alpha=rate * shape)


def encode(tokenizer, question):
    return (tokenizer.encode(question.prompt()).ids, tokenizer.encode(question.answer()).ids)


def batch_loss(model, rows):
    """Summed cross entropy of the answer tokens, and their number."""
    width = max(len(p) + len(a) for p, a in rows) - 1
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    targets = torch.full((len(rows), width), -1)
    for i, (prompt, answer) in enumerate(rows):
        row = torch.tensor(prompt + answer)
        tokens[i, : len(row) - 1] = row[:-1]
        targets[i, len(prompt) - 1 : len(row) - 1] = row[len(prompt):]
    wanted = targets >= 0
    logits = model.lm_head(model(tokens)[wanted])
    return F.cross_entropy(logits, targets[wanted], reduction="sum"), int(wanted.sum())


def micro_batches(tokenizer, rng):
    """One step's rows by kind, code split by length: little padding, no mixing of 60 with 250."""
    for kind, count in ROWS.items():
        rows = [encode(tokenizer, data.sample(kind, rng, unseen=False)) for _ in range(count)]
        rows.sort(key=lambda r: len(r[0]) + len(r[1]))
        cut = count // 2 if kind == "code" else count
        yield kind, rows[:cut]
        if rows[cut:]:
            yield kind, rows[cut:]


def evaluate(model, tokenizer, questions):
    """Share of held-out questions whose answer, sampled at 1.0 from the stored weights, is exact."""
    stored = rounded(model)
    stop = {tokenizer.token_to_id("<|return|>")}
    generator = torch.Generator().manual_seed(1)
    score = {}
    for kind, rows in questions.items():
        answers = generate(stored, [p for p, _ in rows], stop, 120, generator=generator)
        score[kind] = sum(a == want[:-1] for a, (_, want) in zip(answers, rows)) / len(rows)
    return score


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--tokenizer", type=Path, help="reuse this one instead of training it")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)

    tokenizer = (data.Tokenizer.from_file(str(args.tokenizer)) if args.tokenizer
                 else data.train_tokenizer())
    tokenizer.save(str(args.output / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == CONFIG["vocab_size"]
    check = {kind: [encode(tokenizer, q) for q in data.sample_distinct(kind, 60, random.Random(5))]
             for kind in data.KINDS}

    model = GptOss()
    for layer in model.layers:
        layer.compile(dynamic=True)
    matrices = [p for n, p in model.layers.named_parameters()
                if n.endswith(("_proj.weight", "mlp.gate_up_proj", "mlp.down_proj"))]
    chosen = set(map(id, matrices))
    others = [p for p in model.parameters() if id(p) not in chosen]
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0)
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)

    start, step, tokens, saved = time.time(), 0, 0, time.time()
    losses = {kind: [0.0, 0] for kind in data.KINDS}
    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        rate = min(1.0, (step + 1) / 50) * (1 - done)
        total = 0
        for kind, rows in micro_batches(tokenizer, rng):
            loss, count = batch_loss(model, rows)
            loss.backward()
            losses[kind][0] += loss.item()
            losses[kind][1] += count
            total += count
            tokens += sum(len(p) + len(a) for p, a in rows)
        for parameter in model.parameters():
            parameter.grad /= total
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(0.02 * rate)
        for group in adam.param_groups:
            group["lr"] = 3e-3 * rate
        adam.step()
        model.zero_grad(set_to_none=True)
        step += 1
        if step % 50 == 0:
            spent = time.time() - start
            means = {k: round(s / max(n, 1), 4) for k, (s, n) in losses.items()}
            print(f"{spent:7.0f}s step {step} {tokens / spent:.0f} tok/s {means}", flush=True)
            losses = {kind: [0.0, 0] for kind in data.KINDS}
        if time.time() - saved > 300:
            torch.save(model.state_dict(), args.output / "model.pt")
            print("held out:", json.dumps(evaluate(model, tokenizer, check)), flush=True)
            saved = time.time()
    torch.save(model.state_dict(), args.output / "model.pt")
    print("held out:", json.dumps(evaluate(model, tokenizer, check)), flush=True)


if __name__ == "__main__":
    main()
