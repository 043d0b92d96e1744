"""Samples an exported checkpoint and counts right answers: `python evaluate.py --model ..`.

Rows of a parquet file are graded on the final channel: the number in \\boxed{}, the letter after
"Answer:", and for code the program run on all its tests.
"""

import argparse
import base64
import json
import pickle
import random
import re
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer

import data
from export import load_checkpoint
from model import generate

ROWS_AT_A_TIME = 64
LONGEST_ANSWER = 128


def passes(program, tests):
    for given, wanted in tests:
        done = subprocess.run([sys.executable, "-c", program], input=given, text=True,
                              capture_output=True, timeout=20)
        if done.returncode or done.stdout.strip() != wanted.strip():
            return False
    return True


def is_right(answer, kind, truth, tests, verdicts):
    final = answer.rpartition("<|channel|>final<|message|>")[2]
    if kind == "math":
        return re.fullmatch(r".*\\boxed\{(\d+)\}", final, re.S) and f"{{{truth}}}" in final
    if kind == "choice":
        return final == f"Answer: {truth}"
    code = re.search(r"```python\n(.*?)\n```", final, re.S)
    if not code:
        return False
    case = (truth, code[1])
    if case not in verdicts:  # repeats of a question nearly always repeat the program
        verdicts[case] = passes(code[1], tests)
    return verdicts[case]


def unpack(private):
    """Only ever our own lcb_problems.jsonl: a pickle from elsewhere could run code."""
    return json.loads(pickle.loads(zlib.decompress(base64.b64decode(private))))


def from_parquet(path, problems):
    """(kind, tokens, truth, tests) of each row."""
    kinds = {name: kind for kind, name in data.KINDS.items()}
    tests = {}
    for line in open(problems):
        record = json.loads(line)
        shown = json.loads(record["public_test_cases"])
        private = record["private_test_cases"]
        hidden = json.loads(private) if private.startswith("[") else unpack(private)
        tests[record["question_id"]] = [(t["input"], t["output"]) for t in shown + hidden]
    return [(kinds[r["dataset"]], r["tok_input"], r["ground_truth"], tests.get(r["ground_truth"]))
            for r in pq.read_table(path).to_pylist()]


def fresh(tokenizer, count):
    """More held-out questions than the parquet files have."""
    rng = random.Random(99)
    questions = [q for kind in data.KINDS for q in data.sample_distinct(kind, count, rng)]
    return [(q.kind, tokenizer.encode(q.prompt()).ids, q.truth, q.tests) for q in questions]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True, help="the exported directory")
    parser.add_argument("--rows", default="accuracy.parquet", help="a file there, or a number of "
                        "further held-out questions per kind")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers")
    args = parser.parse_args()
    torch.set_num_threads(2)
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    model = load_checkpoint(args.model)
    rows = (fresh(tokenizer, int(args.rows)) if args.rows.isdigit()
            else from_parquet(args.model / args.rows, args.model / "lcb_problems.jsonl"))
    rows.sort(key=lambda r: len(r[1]))
    stop = set(json.loads((args.model / "generation_config.json").read_text())["eos_token_id"])
    sampler = torch.Generator().manual_seed(args.seed)
    right, total, verdicts, shown = Counter(), Counter(), {}, 0
    for at in range(0, len(rows), ROWS_AT_A_TIME):
        part = rows[at:at + ROWS_AT_A_TIME]
        answers = generate(model, [r[1] for r in part], stop, LONGEST_ANSWER, args.temperature,
                           sampler)
        for (kind, prompt, truth, tests), tokens in zip(part, answers):
            answer = tokenizer.decode(tokens, skip_special_tokens=False)
            good = bool(is_right(answer, kind, truth, tests, verdicts))
            right[kind] += good
            total[kind] += 1
            if not good and shown < args.show:
                shown += 1
                print(tokenizer.decode(prompt, skip_special_tokens=False) + answer, truth)
    for kind in data.KINDS:
        print(f"{kind}: {right[kind]} of {total[kind]} ({100 * right[kind] / total[kind]:.1f}%)")


if __name__ == "__main__":
    main()
