#!/usr/bin/env python3
"""`ossmark bench engine --engine cpu` beside llama.cpp on the same weights, taken in turn; medians, and ratios pair by pair.

    benchmarks/gen_checkpoint.py /tmp/checkpoint
    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install llama-cpp-python gguf numpy
    /tmp/peer/bin/python benchmarks/to_gguf.py /tmp/checkpoint /tmp/checkpoint.gguf
    /tmp/peer/bin/python benchmarks/cpu_peer.py --ossmark target/release/ossmark --model /tmp/checkpoint \\
        --gguf /tmp/checkpoint.gguf --threads 1,2 --rounds 5 --json peer.json

First ossmark answers some prompts greedily, and llama.cpp says at each position of these answers what it would have chosen: how
many are equal is in the result (where two logits nearly tie, rounding decides). What fails or is not there is said in the result,
not left out. For a quiet machine: nothing else may run. On a busy one look at `processor_ratio`, of tokens a second of processor
time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCHES, PREFILLS = (1, 8, 32), (512, 2048)
PROMPT, TOKENS = 16, 17
GREEDY_PROMPTS, GREEDY_TOKENS = 5, 16


def prompt(length, i, vocab):
    """As `ossmark bench engine` makes them."""
    return [(p * 7919 + i * 104729) % vocab for p in range(length)]


class Llama:
    """llama.cpp through the C functions that llama-cpp-python exposes."""

    def __init__(self, gguf, threads):
        import llama_cpp as c
        from numpy.ctypeslib import as_array

        self.c, self.as_array = c, as_array
        c.llama_backend_init()
        model = c.llama_model_default_params()
        model.n_gpu_layers = 0
        started = time.perf_counter()
        self.model = c.llama_model_load_from_file(str(gguf).encode(), model)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {gguf}")
        params = c.llama_context_default_params()
        params.n_ctx = max(BATCHES) * 128 + max(PREFILLS)
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = max(BATCHES)
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        self.context = c.llama_init_from_model(self.model, params)
        self.load_seconds = time.perf_counter() - started
        self.vocab = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        self.batch = c.llama_batch_init(512, 0, 1)

    def clear(self):
        self.c.llama_memory_clear(self.c.llama_get_memory(self.context), True)

    def step(self, rows):
        """`rows`: token, position, sequence and whether its logits are wanted. Gives the greedy token of those."""
        b = self.batch
        b.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, position, 1, wanted
            b.seq_id[i][0] = sequence
        if self.c.llama_decode(self.context, b) != 0:
            raise RuntimeError("llama_decode failed")
        out = []
        for i, row in enumerate(rows):
            if row[3]:
                logits = self.as_array(self.c.llama_get_logits_ith(self.context, i), (self.vocab,))
                out.append(int(logits.argmax()))
        return out

    def prefill(self, tokens, sequence=0):
        for first in range(0, len(tokens), 512):
            part = tokens[first : first + 512]
            rows = [(t, first + i, sequence, first + i + 1 == len(tokens)) for i, t in enumerate(part)]
            last = self.step(rows)
        return last[0]

    def decode(self, batch):
        """Seconds and processor seconds from the first token of all on, and tokens since."""
        self.clear()
        tokens = [self.prefill(prompt(PROMPT, i, self.vocab), i) for i in range(batch)]
        started, spent = time.perf_counter(), time.process_time()
        for n in range(TOKENS - 1):
            tokens = self.step([(t, PROMPT + n, i, True) for i, t in enumerate(tokens)])
        return time.perf_counter() - started, time.process_time() - spent, batch * (TOKENS - 1)

    def figures(self):
        self.decode(1)
        out = {}
        for batch in BATCHES:
            out[f"decode {batch}"] = self.decode(batch)
        for length in PREFILLS:
            self.clear()
            started, spent = time.perf_counter(), time.process_time()
            self.prefill(prompt(length, 0, self.vocab))
            out[f"prefill {length}"] = (time.perf_counter() - started, time.process_time() - spent, length)
        return out

    def choices(self, prompt, answer):
        """The token that would follow the prompt and each prefix of the answer."""
        self.clear()
        tokens = prompt + answer[:-1]
        rows = [(t, i, 0, i + 1 >= len(prompt)) for i, t in enumerate(tokens)]
        return self.step(rows)


def child(args):
    """One process for each round, as ossmark's is: loading is measured too, and nothing is kept warm."""
    llama = Llama(args.gguf, int(args.threads))
    result = {"load_seconds": llama.load_seconds}
    if args.answers:
        answers = [json.loads(line) for line in Path(args.answers).read_text().splitlines()]
        result["choices"] = [llama.choices(a["input_tokens"], a["output_tokens"]) for a in answers]
    else:
        result["figures"] = llama.figures()
    print(json.dumps(result))


def peer(args, threads, *more):
    command = [sys.executable, __file__, "--child", "--gguf", args.gguf, "--threads", str(threads), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def ossmark(args, threads, folder):
    file = Path(folder) / "ossmark.json"
    joined = [",".join(map(str, x)) for x in (BATCHES, PREFILLS)]
    command = [args.ossmark, "bench", "engine", "--engine", "cpu", "--model", args.model, "--threads", str(threads)]
    command += ["--batch", joined[0], "--prefill", joined[1], "--prompt", str(PROMPT), "--tokens", str(TOKENS)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, "--json", file, "--force"], check=True, **quiet)
    [way] = json.loads(file.read_text())["ways"]
    names = [f"decode {b}" for b in BATCHES] + [f"prefill {p}" for p in PREFILLS]
    figures = {
        name: (f["seconds"], f["processor_seconds"], f["tokens"], f["bound_tokens_per_s"])
        for name, f in zip(names, way["figures"], strict=True)
    }
    return way, figures


def greedy(args, folder):
    """How many greedy tokens are equal, of how many."""
    vocab = json.loads((Path(args.model) / "config.json").read_text())["vocab_size"]
    file, out = Path(folder) / "prompts.jsonl", Path(folder) / "answers.jsonl"
    prompts = [prompt(PROMPT, i, vocab) for i in range(GREEDY_PROMPTS)]
    file.write_text("".join(json.dumps({"id": str(i), "input_tokens": p}) + "\n" for i, p in enumerate(prompts)))
    command = [args.ossmark, "generate", "--engine", "cpu", "--model", args.model, "--input", file, "--output", out]
    command += ["--max-new-tokens", str(GREEDY_TOKENS), "--temperature", "0", "--force"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    answers = [json.loads(line)["output_tokens"] for line in out.read_text().splitlines()]
    lines = [{"input_tokens": p, "output_tokens": a} for p, a in zip(prompts, answers, strict=True)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    choices = peer(args, 2, "--answers", str(file))["choices"]
    pairs = [pair for a, c in zip(answers, choices, strict=True) for pair in zip(a, c, strict=True)]
    return {"equal": sum(a == b for a, b in pairs), "of": len(pairs)}


def summary(rounds):
    """Medians of each work, and of the ratios of its pairs."""
    table = {}
    for name in rounds[0]["ossmark"]:
        mine, theirs = ([r[who].get(name) for r in rounds] for who in ("ossmark", "llama.cpp"))
        row = {"ossmark": statistics.median(m[2] / m[0] for m in mine), "bound": mine[-1][3]}
        if all(theirs):
            pairs = list(zip(mine, theirs))
            row["llama.cpp"] = statistics.median(t[2] / t[0] for t in theirs)
            row["ratio"] = statistics.median((m[2] / m[0]) / (t[2] / t[0]) for m, t in pairs)
            if all(m[1] and t[1] for m, t in pairs):
                row["processor_ratio"] = statistics.median((m[2] / m[1]) / (t[2] / t[1]) for m, t in pairs)
        table[name] = row
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ossmark", default="target/release/ossmark")
    parser.add_argument("--model", help="checkpoint in Hugging Face's layout")
    parser.add_argument("--gguf", required=True, help="the same, converted")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--answers", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(args)
    result = {"not_had": {}, "threads": {}}
    with tempfile.TemporaryDirectory() as folder:
        try:
            result["greedy"] = greedy(args, folder)
            print(f"greedy tokens: {result['greedy']}")
        except RuntimeError as e:
            result["not_had"]["llama.cpp"] = str(e)
            print(f"llama.cpp: not had: {e}")
        for threads in map(int, args.threads.split(",")):
            rounds = []
            for _ in range(args.rounds):
                way, figures = ossmark(args, threads, folder)
                theirs = {} if result["not_had"] else peer(args, threads)["figures"]
                rounds.append({"ossmark": figures, "llama.cpp": theirs})
            table = summary(rounds)
            result["threads"][threads] = {"bound": way["bound"], "rounds": rounds, "median": table}
            print(f"{threads} thread(s), tokens/s: {way['bound']}")
            for name, row in table.items():
                print(f"  {name:<14}", ", ".join(f"{k} {v:.2f}" for k, v in row.items()))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))
    return None


if __name__ == "__main__":
    main()
