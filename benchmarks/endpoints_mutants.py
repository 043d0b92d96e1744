#!/usr/bin/env python3
"""Random changes to the base tree of `crates/endpoints`, judged by MLCommons' checker and by ossmark: every difference is printed.

    python3 -m venv VENV && VENV/bin/pip install endpoints-submission-cli==1.5.3.0
    cargo build --release -p ossmark-endpoints --example verdicts
    VENV/bin/python benchmarks/endpoints_mutants.py --count 500 --seed 1 target/release/examples/verdicts

A change is one or two of: a value of a JSON file or of point.yaml replaced, removed or doubled; a file or folder removed, copied
or renamed. Compared are the exit code, whether MLCommons' checker crashed, and the set of (rule, severity).
"""
import argparse, collections, contextlib, io, json, logging, random, re, shutil, subprocess, sys, tarfile, tempfile
from pathlib import Path

from submission_checker.checker import SubmissionChecker
from submission_checker.models import Severity

REPOSITORY = Path(__file__).resolve().parent.parent
BASE = REPOSITORY / "crates/endpoints/tests/fixtures/base_tree.tar.gz"
ODD = [
    None, True, False, 0, 1, -1, 2, 7, 8, 16, 32, 33, 64, 65, 100, 6396, 0.0, 1.0, 0.5, 1.5, 16.0, 1e19, -0.0, 10**20, float("nan"),
    float("inf"), "", " ", "0", "1", "16", "16.0", " 8 ", "1_0", "1e3", "nan", "yes", "no", "x", "81%", [], {}, [1], {"a": 1}, "RDI",
    "Serviced", "Available", "available ", "liquid", "air", "water cooled", "none", "mlc_default", "D.2", "https://x.example/", 0.01,
]
YAML = [
    "no", "yes", "on", "0x10", "010", "08", "1_000", "1:30", "1e3", "1.0e+3", "16.0", "16.5", "'16'", '"16.0"', "~", "", "null", "2026-01-01",
    "[1, 2]", "{a: 1}", "[]", "{}", "true", ".nan", ".inf", "-1", "0", "33", "64", "70", "71", "6396", "dedicated", "elected", "none",
    "agentic_inference", "concurrency", "poisson", "margin", "submitters_choice", "low_latency", "2026-11-C0", "2026-13-C0",
    "2026-10-C2", "A", "B", "Plateau", "Drifting Up", "windowable", "insufficient_passes", "insufficient_duration", "anomaly",
    "drifting_up", "not found", "gpt-oss-120b", "openai/gpt-oss-120b", "kimi-k3", "../src", "docs/", "/tmp", "./src/", "src\\ossmark",
    "!!str 8", "!!int '8'", "&a 8", "*b", "aime25", "unknown", "gpqa", "599.9", "600", "86400", "86401", "10487924139932647040", "42",
]


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def change_json(rng, files):
    document = json.loads(files[0].read_text())
    path = rng.choice([p for p in places(document) if p and "histogram" not in p] or [()])
    kind, odd = rng.random(), rng.choice(ODD)
    if rng.random() < 0.25:
        odd = rng.choice([0.97, 0.995, 1.009, 1.011, 0.5, 2])  # a factor, of numbers
        kind = 2
    for file in files:
        document = json.loads(file.read_text())
        parent = document
        try:
            for key in path[:-1]:
                parent = parent[key]
            if not path:
                document = odd
            elif kind == 2 and isinstance(parent[path[-1]], (int, float)):
                parent[path[-1]] = parent[path[-1]] * odd
            elif kind < 0.2:
                del parent[path[-1]]
            else:
                parent[path[-1]] = odd
        except (KeyError, IndexError, TypeError):
            continue
        file.write_text(json.dumps(document, indent=1))
    return f"{files[0].name} x{len(files)} {path} {kind:.1f} {odd!r}"


def change_yaml(rng, files):
    lines = files[0].read_text().splitlines()
    at, odd, kind = rng.randrange(len(lines)), rng.choice(YAML), rng.random()
    old = lines[at]
    for file in files:
        lines = file.read_text().splitlines()
        if at >= len(lines):
            continue
        key = re.match(r"\s*(?:- )?[\w]+:", lines[at])
        if kind < 0.15:
            del lines[at]
        elif kind < 0.25:
            lines.append(f"{odd}: {rng.choice(YAML)}" if rng.random() < 0.3 else lines[at])
        elif key:
            lines[at] = f"{key.group()} {odd}"
        file.write_text("\n".join(lines) + "\n")
    return f"{files[0].name} x{len(files)} {old!r} {kind:.2f} {odd!r}"


def change_files(rng, tree):
    path = rng.choice(sorted(p for p in tree.rglob("*") if p != tree / "sub-0001"))
    kind = rng.choice(["remove", "rename", "copy", "bytes", "empty"])
    if kind == "remove":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif kind in ("rename", "copy"):
        names = ["r9", "r008", "r2", "r70", "r71", "r40", "R8", "x", ".hidden", "results.json", "accuracy_results.json", "gpt-oss-20b", "kimi-k3"]
        to = path.with_name(rng.choice(names))
        if to.exists():
            return "nothing"
        path.rename(to) if kind == "rename" else (shutil.copytree if path.is_dir() else shutil.copy)(path, to)
        return f"{kind} {path.relative_to(tree)} to {to.name}"
    elif path.is_file():
        data = path.read_bytes()
        data = b"" if kind == "empty" else data[: rng.randrange(len(data) + 1)] + rng.choice([b"\xff", b"\xef\xbb\xbf", b"\x01", b"\t", b"\r\n"])
        if kind == "bytes" and rng.random() < 0.3:
            data = b"\xef\xbb\xbf" + path.read_bytes()
        path.write_bytes(data)
    return f"{kind} {path.relative_to(tree)}"


def change(rng, tree):
    kind = rng.random()
    points = sorted(tree.glob("sub-0001/results/*/*/r*"), key=lambda p: int(re.sub(r"\D", "", p.name) or 0))
    few = points if rng.random() < 0.4 else [rng.choice(points)] if points else []
    if kind < 0.35:
        files = [p / "point.yaml" for p in few if (p / "point.yaml").is_file()]
        return change_yaml(rng, files) if files else "nothing"
    if kind < 0.9:
        name = rng.choice(["system_desc.json", "system_desc.json", "result_summary.json", "accuracy_results.json", "system_power.json"])
        files = [p / name for p in few] if name != "system_power.json" else list(tree.glob("sub-0001/results/*/system_power.json"))
        files = [f for f in files if f.is_file()]
        return change_json(rng, files) if files else "nothing"
    return change_files(rng, tree)


def official(tree):
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            report = SubmissionChecker(tree).run()
    except Exception as error:
        return {"exit": 1, "crash": True, "rules": set(), "why": repr(error)[:200]}
    rules = {(r.rule, r.severity.value) for r in report.results if r.severity != Severity.INFO}
    return {"exit": int(bool(report.errors)), "crash": False, "rules": rules}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("verdicts")
    arguments.add_argument("--count", type=int, default=500)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        trees, theirs = [], []
        for number in range(arguments.count):
            rng = random.Random(arguments.seed * 1_000_003 + number)
            tree = Path(folder) / str(number)
            with tarfile.open(BASE) as packed:
                packed.extractall(tree, filter="data")
            done = []
            for _ in range(rng.choice([1, 1, 1, 2])):
                try:
                    done.append(change(rng, tree))
                except (OSError, ValueError) as error:  # what is there is no JSON any more
                    done.append(f"not done: {error}")
            trees.append((tree, done))
            theirs.append(official(tree))
        said = subprocess.run([arguments.verdicts], input="\n".join(str(t) for t, _ in trees) + "\n", capture_output=True, text=True, check=True)
        ours = [json.loads(line) for line in said.stdout.splitlines()]
        assert len(ours) == len(theirs)
        kinds, differ = collections.Counter(), 0
        for (tree, done), a, b in zip(trees, theirs, ours):
            b["rules"] = {tuple(rule) for rule in b["rules"]}
            kinds["crash" if a["crash"] else "exit 1" if a["exit"] else "exit 0"] += 1
            if (a["exit"], a["crash"], a["rules"]) != (b["exit"], b["crash"], b["rules"]):
                differ += 1
                print(f"{tree.name} {done}: theirs {a['exit']} {a.get('why', '')} {sorted(a['rules'] - b['rules'])}, ours {b['exit']} crash {b['crash']} {sorted(b['rules'] - a['rules'])}")
        print(f"{arguments.count} trees ({dict(kinds)}), {differ} judged differently")
        return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
