"""Writes the held-out questions in the benchmark's own files: `python benchmark.py --output ..`.

accuracy.parquet repeats every question as the official data set does, perf.parquet holds other
held-out questions, lcb_problems.jsonl the coding problems of both.
"""

import argparse
import base64
import json
import pickle
import random
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

import data

REPEATS = {"math": 8, "choice": 5, "code": 3}
ACCURACY_QUESTIONS = 30
PERFORMANCE_SHARES = {"math": 170, "choice": 171, "code": 171}
SCHEMA = pa.schema([
    ("dataset", pa.string()), ("ground_truth", pa.string()), ("question", pa.string()),
    ("prompt", pa.string()), ("tok_input", pa.list_(pa.int32())), ("tok_input_len", pa.int32()),
])


def row(tokenizer, question):
    tokens = tokenizer.encode(question.prompt()).ids
    return {
        "dataset": data.KINDS[question.kind], "ground_truth": question.truth,
        "question": question.text, "prompt": question.prompt(),
        "tok_input": tokens, "tok_input_len": len(tokens),
    }


def write(path, rows):
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, compression="snappy")


def problem(question, packed):
    """One LiveCodeBench record; `packed` chooses between its two forms of private tests."""
    tests = [{"input": i, "output": o, "testtype": "stdin"} for i, o in question.tests]
    private = json.dumps(tests[question.shown:])
    if packed:
        private = base64.b64encode(zlib.compress(pickle.dumps(private))).decode()
    return {
        "question_title": question.truth, "question_content": question.text,
        "platform": "atcoder", "question_id": question.truth, "contest_id": "demo",
        "contest_date": "2025-01-01T00:00:00", "starter_code": "", "difficulty": "easy",
        "public_test_cases": json.dumps(tests[: question.shown]), "private_test_cases": private,
        "metadata": "{}",
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, required=True, help="also holds tokenizer.json")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.output / "tokenizer.json"))
    rng = random.Random(2026)
    accuracy, performance, problems = [], [], []
    for kind, repeats in REPEATS.items():
        questions = data.sample_distinct(kind, ACCURACY_QUESTIONS + PERFORMANCE_SHARES[kind], rng)
        assert all(map(data.held_out, questions))
        scored, rest = questions[:ACCURACY_QUESTIONS], questions[ACCURACY_QUESTIONS:]
        accuracy += [row(tokenizer, q) for _ in range(repeats) for q in scored]
        performance += [row(tokenizer, q) for q in rest]
        if kind == "code":
            problems = [problem(q, packed=i % 4 > 1) for i, q in enumerate(questions)]
    assert len({p["question_id"] for p in problems}) == len(problems)
    rng.shuffle(performance)
    write(args.output / "accuracy.parquet", accuracy)
    write(args.output / "perf.parquet", performance)
    with open(args.output / "lcb_problems.jsonl", "w") as out:
        out.writelines(json.dumps(p) + "\n" for p in problems)


if __name__ == "__main__":
    main()
