"""Trains the demo checkpoint on a CPU: `python train.py --output DIR [--minutes 50]`.

Muon for the matrices and AdamW for the rest; the learning rate follows the wall clock, so the
schedule always ends, however fast the machine is. Two processes of one thread each share every
step: on a busy two-core machine they lose far less than two threads that meet at every operation.
"""

import argparse
import json
import os
import random
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F

import data
from export import rounded
from model import CONFIG, GptOss

WORKERS = 2
ROWS = {"math": 4, "choice": 10, "code": 2}  # per worker and step: more for the harder kinds
DRILLS = 5
CHECKED = 100  # held-out questions per kind
SAVE_EVERY = 300  # seconds


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
    """Momentum, orthogonalised per matrix; stacks of expert matrices are handled as batches.

    The workers share the matrices out and add up the updates.
    """

    def __init__(self, parameters, rank, momentum=0.95, decay=0.02):
        self.parameters, self.rank = list(parameters), rank
        self.momentum, self.decay = momentum, decay
        self.average = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, rate):
        updates = []
        for i, (parameter, average) in enumerate(zip(self.parameters, self.average)):
            average.lerp_(parameter.grad, 1 - self.momentum)
            mine = i % WORKERS == self.rank
            updates.append(orthogonal(parameter.grad.lerp(average, self.momentum)) if mine
                           else torch.zeros_like(parameter))
        for parameter, update in zip(self.parameters, add_up(updates)):
            shape = max(1.0, parameter.shape[-2] / parameter.shape[-1]) ** 0.5
            parameter.mul_(1 - rate * self.decay).sub_(update, alpha=rate * shape)


def add_up(tensors):
    """Each tensor summed over the workers, in one message."""
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    return [part.view_as(t) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors)]


def encode(tokenizer, question):
    """(tokens, which of them are to be learnt)."""
    prompt = tokenizer.encode(question.prompt()).ids
    answer = tokenizer.encode(question.answer()).ids
    return prompt + answer, [False] * len(prompt) + [True] * len(answer)


def encode_drill(tokenizer, text):
    """Only what follows an equals sign can be known."""
    tokens = tokenizer.encode(text).ids
    equals, newline = tokenizer.encode("=").ids[0], tokenizer.encode("\n").ids[0]
    learnt, known = [], False
    for token in tokens:
        known = known and token != newline
        learnt.append(known)
        known = known or token == equals
    return tokens, learnt


def answer_losses(model, rows):
    """The negative log-probability of each row's learnt part, and the number of tokens in all."""
    width = max(len(tokens) for tokens, _ in rows) - 1
    inputs = torch.zeros(len(rows), width, dtype=torch.long)
    targets = torch.full((len(rows), width), -1)
    for i, (tokens, learnt) in enumerate(rows):
        row = torch.tensor(tokens)
        inputs[i, : len(row) - 1] = row[:-1]
        targets[i, : len(row) - 1] = row[1:].masked_fill(~torch.tensor(learnt[1:]), -1)
    wanted = targets >= 0
    losses = F.cross_entropy(model.lm_head(model(inputs)[wanted]), targets[wanted], reduction="none")
    return torch.zeros(len(rows)).index_add(0, wanted.nonzero()[:, 0], losses), len(losses)


def micro_batches(tokenizer, rng, step):
    """One worker's rows of a step in two batches, short ones and code.

    Half of the coding prompts are long: the shorter and the longer half of a double draw take
    turns, so that little is padding and the workers stay level.
    """
    def rows(kind, count):
        return [encode(tokenizer, data.sample(kind, rng, unseen=False)) for _ in range(count)]

    drills = [encode_drill(tokenizer, data.drill(rng)) for _ in range(DRILLS)]
    yield "short", rows("math", ROWS["math"]) + rows("choice", ROWS["choice"]) + drills
    code = sorted(rows("code", 2 * ROWS["code"]), key=lambda row: len(row[0]))
    yield "code", code[ROWS["code"]:] if step % 2 else code[: ROWS["code"]]


@torch.no_grad()
def expected_score(model, questions):
    """Chance that sampling at 1.0 from the weights as stored gives the canonical answer."""
    stored = rounded(model)
    return {kind: round(torch.exp(-answer_losses(stored, rows)[0]).mean().item(), 4)
            for kind, rows in questions.items()}


def save(model, questions, directory):
    torch.save(model.state_dict(), directory / "model.pt.new")
    os.replace(directory / "model.pt.new", directory / "model.pt")
    print("held out:", json.dumps(expected_score(model, questions)), flush=True)


def worker(rank, args):
    dist.init_process_group("gloo", init_method=f"file://{args.output.resolve()}/meeting",
                            rank=rank, world_size=WORKERS)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)  # the same initial weights everywhere
    rng = random.Random(args.seed * WORKERS + rank)
    tokenizer = data.Tokenizer.from_file(str(args.output / "tokenizer.json"))
    held_out = {kind: [encode(tokenizer, q)
                       for q in data.sample_distinct(kind, CHECKED, random.Random(5))]
                for kind in data.KINDS}

    model = GptOss()
    if args.start:
        model.load_state_dict(torch.load(args.start))
    for layer in model.layers:
        layer.compile(dynamic=True)
    matrices = [p for n, p in model.layers.named_parameters()
                if n.endswith(("_proj.weight", "mlp.gate_up_proj", "mlp.down_proj"))]
    chosen = set(map(id, matrices))
    others = [p for p in model.parameters() if id(p) not in chosen]
    parameters = list(model.parameters())
    muon = Muon(matrices, rank)
    adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0)
    if rank == 0:
        print(sum(p.numel() for p in parameters), "parameters", flush=True)

    start, step, seen, saved, done = time.time(), 0, 0, time.time(), 0.0
    losses = {"short": [0.0, 0], "code": [0.0, 0]}
    while done < 1:
        count = 0
        for name, rows in micro_batches(tokenizer, rng, step):
            row_losses, answers = answer_losses(model, rows)
            loss = row_losses.sum()
            loss.backward()
            losses[name][0] += loss.item()
            losses[name][1] += answers
            count += answers
            seen += sum(len(tokens) for tokens, _ in rows)
        # The first worker's clock decides for all.
        clock = (time.time() - start) / (60 * args.minutes) if rank == 0 else 0.0
        *gradients, shared = add_up([p.grad for p in parameters] + [torch.tensor([count, clock])])
        total, done = shared.tolist()
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient / total
        rate = args.rate * min(1.0, (step + 1) / 50) * max(0.0, 1 - done)
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(0.02 * rate)
        for group in adam.param_groups:
            group["lr"] = 3e-3 * rate
        adam.step()
        model.zero_grad(set_to_none=True)
        step += 1
        if rank == 0 and step % 100 == 0:
            spent = time.time() - start
            means = {k: round(s / n, 5) for k, (s, n) in losses.items()}
            print(f"{spent:5.0f} s, step {step}, {WORKERS * seen / spent:.0f} tokens/s, {means}",
                  flush=True)
            losses = {"short": [0.0, 0], "code": [0.0, 0]}
        if rank == 0 and time.time() - saved > SAVE_EVERY:
            save(model, held_out, args.output)
            saved = time.time()
    if rank == 0:
        save(model, held_out, args.output)
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--tokenizer", type=Path, help="use this one instead of training it")
    parser.add_argument("--start", type=Path, help="continue from this model.pt")
    parser.add_argument("--rate", type=float, default=1.0, help="factor on both learning rates")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "meeting").unlink(missing_ok=True)
    tokenizer = (data.Tokenizer.from_file(str(args.tokenizer)) if args.tokenizer
                 else data.train_tokenizer())
    assert tokenizer.get_vocab_size() == CONFIG["vocab_size"]
    tokenizer.save(str(args.output / "tokenizer.json"))
    torch.multiprocessing.spawn(worker, (args,), nprocs=WORKERS)


if __name__ == "__main__":
    main()
