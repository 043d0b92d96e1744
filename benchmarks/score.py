"""How fast `ossmark score` is, whole process, beside MLCommons' Python scorer on the same log.

    python benchmarks/score.py --ossmark target/release/ossmark --work /tmp/bench-score \
        [--reference DIR with eval_mlperf_accuracy.py]

Needs pandas, pyarrow and, for the reference, what its requirements.txt names. Makes a log of 4395 answers of 300 tokens
(arithmetic and choice questions, no programs) and two tokenizers of gpt-oss's kind: the test fixtures' (910 ids) and a made-up
one of the real size (201,088 ids, 446,189 merges). Prints the best of five runs of each.
"""
import argparse, json, os, pathlib, random, subprocess, sys, time

import pandas

ENTRIES, TOKENS, REAL_IDS, REAL_MERGES = 4395, 300, 201_088, 446_189
HARMONY = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>"]


def alphabet():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in own]
    return [chr(b) for b in own] + [chr(0x100 + i) for i in range(len(rest))]


def real_size(path):
    """A byte-level BPE tokenizer as large as the model's: every token is two earlier ones joined."""
    draw = random.Random(1)
    tokens = alphabet()
    letters = [c for c in tokens if c.isascii() and c.isalnum()] + ["\u0120"]
    seen, merges, words = set(tokens), [], list(letters)
    while len(tokens) < REAL_IDS - len(HARMONY):
        a, b = draw.choice(words), draw.choice(words[: min(len(words), 4000)])
        if len(a + b) <= 16 and a + b not in seen:
            seen.add(a + b)
            tokens.append(a + b)
            words.append(a + b)
            merges.append([a, b])
    pairs = {(a, b) for a, b in merges}
    for token in draw.sample(tokens, len(tokens)):
        for cut in range(1, len(token)):
            pair = (token[:cut], token[cut:])
            if len(merges) < REAL_MERGES and pair not in pairs and pair[0] in seen and pair[1] in seen:
                pairs.add(pair)
                merges.append(list(pair))
    base = json.load(open(FIXTURES / "tokenizer/tokenizer.json"))
    base["model"]["vocab"] = {token: i for i, token in enumerate(tokens)}
    base["model"]["merges"] = merges
    base["added_tokens"] = [{**base["added_tokens"][0], "id": len(tokens) + i, "content": c} for i, c in enumerate(HARMONY)]
    path.mkdir(exist_ok=True)
    json.dump(base, open(path / "tokenizer.json", "w"), ensure_ascii=False)
    config = json.load(open(FIXTURES / "tokenizer/tokenizer_config.json"))
    json.dump(config, open(path / "tokenizer_config.json", "w"))


def log(path, tokenizer):
    """Reasoning of random tokens, then a final answer spelled out; one in two is right."""
    from struct import pack

    draw = random.Random(2)
    spec = json.load(open(tokenizer / "tokenizer.json"))
    vocab = spec["model"]["vocab"]
    added = {t["content"]: t["id"] for t in spec["added_tokens"]}
    filler = list(vocab.values())
    with open(path, "w") as out:
        out.write("[\n")
        for i in range(ENTRIES):
            answer = str(i % 1000) if i % 2 else "ABCD"[i % 4]
            text = f"\\boxed{{{answer}}}" if i % 2 else f"Answer:{answer}"
            if draw.random() < 0.5:
                text = "none"
            end = [added["<|channel|>"], *(vocab[c] for c in "final"), added["<|message|>"], *(vocab[c] for c in text), added["<|return|>"]]
            start = [added["<|channel|>"], *(vocab[c] for c in "analysis"), added["<|message|>"]]
            tokens = start + [draw.choice(filler) for _ in range(TOKENS - len(start) - len(end))] + end
            data = pack(f"<{len(tokens)}i", *tokens).hex().upper()
            comma = "," if i + 1 < ENTRIES else ""
            out.write(f'{{ "seq_id" : {i}, "qsl_idx" : {i}, "data" : "{data}", "token_count" : {len(tokens)} }}{comma}\n')
        out.write("]\n")


def reference_data(path):
    rows = [{"dataset": "aime25" if i % 2 else "gpqa_diamond", "ground_truth": str(i % 1000) if i % 2 else "ABCD"[i % 4]} for i in range(ENTRIES)]
    pandas.DataFrame(rows).to_parquet(path)


def best(command, cwd):
    times, last = [], ""
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
        last = done.stdout.strip().splitlines()[-1]
    return min(times), last


parser = argparse.ArgumentParser()
parser.add_argument("--ossmark", required=True, type=pathlib.Path)
parser.add_argument("--work", required=True, type=pathlib.Path)
parser.add_argument("--reference", type=pathlib.Path)
args = parser.parse_args()
FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests/fixtures/score"
args.work.mkdir(exist_ok=True)
reference_data(args.work / "reference.parquet")
real = args.work / "real"
if not (real / "tokenizer.json").exists():
    real_size(real)
for name, tokenizer in [("910 ids", FIXTURES / "tokenizer"), ("201,088 ids", real)]:
    file = args.work / f"log-{tokenizer.name}.json"
    log(file, tokenizer)
    ours = [args.ossmark.resolve(), "score", "--log", file, "--reference", args.work / "reference.parquet", "--tokenizer", tokenizer]
    seconds, score = best(ours, args.work)
    print(f"{name}: ossmark {seconds:.3f} s  {score}", flush=True)
    if args.reference:
        theirs = [sys.executable, "eval_mlperf_accuracy.py", "--mlperf-log", file, "--reference-data", args.work / "reference.parquet", "--tokenizer", tokenizer]
        slow, official = best(theirs, args.reference)
        print(f"{name}: reference {slow:.3f} s  {official}  ({slow / seconds:.1f}x)", flush=True)
        assert official == score
