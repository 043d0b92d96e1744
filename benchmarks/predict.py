#!/usr/bin/env python3
"""What `ossmark run --plan` says of a run beside the run itself, on the echo engine: the 99th percentiles, and whether it is VALID, at
loads 5% below and 5% above the highest that the prediction calls VALID.

    python3 benchmarks/predict.py --ossmark target/release/ossmark [--seconds 10] [--jobs 4] [--json FILE]

Twenty systems: fixed times, times per token with answers of many lengths, and from 2 to 64 samples at once, so that how long a sample
takes depends on who else is there. "Official length" is --seconds, 600 in the rules. Needs pyarrow, for the scripts of answers. The machine
is in it: an answer that is sent late makes all behind it late, so that it wants two cores that do nothing else; the load average is
printed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow
import pyarrow.parquet

ROWS = 100
LIMITS = ("ttft_p99_ms", "tpot_p99_ms")
# Slots, milliseconds to the first token and per token, tokens (at least and at most), limits in milliseconds.
SYSTEMS = [
    # Fixed: all tokens come with the first.
    (2, 40, 0, (2, 2), (400, 80)),
    (4, 60, 0, (2, 2), (500, 80)),
    (8, 100, 0, (2, 2), (600, 80)),
    (16, 150, 0, (2, 2), (700, 80)),
    (32, 300, 0, (2, 2), (1000, 80)),
    (64, 500, 0, (2, 2), (1500, 80)),
    # Per token, answers of the same length.
    (4, 20, 5, (20, 20), (800, 80)),
    (8, 20, 10, (30, 30), (1000, 80)),
    (16, 20, 10, (30, 30), (500, 80)),
    (32, 50, 10, (60, 60), (1000, 80)),
    (64, 150, 10, (100, 100), (3000, 80)),
    (64, 100, 20, (40, 40), (2000, 80)),
    # Per token, of many lengths, and of times of their own.
    (4, 20, 5, (2, 40), (800, 80)),
    (8, 30, 8, (2, 60), (1000, 80)),
    (16, 20, 10, (5, 55), (600, 80)),
    (16, 50, 15, (10, 90), (2000, 80)),
    (32, 20, 10, (10, 200), (2000, 80)),
    (32, 100, 5, (20, 150), (1000, 80)),
    (64, 150, 10, (10, 190), (2000, 80)),
    (64, 50, 20, (2, 120), (1500, 80)),
]


class Case:
    """A system with its files."""

    def __init__(self, args, number, folder):
        slots, ttft, tpot, (least, most), self.limits = SYSTEMS[number]
        self.name = f"{slots} at once, {ttft} + {tpot} ms, {least}-{most} tokens"
        self.args, self.folder = args, folder
        draw = random.Random(number)
        wide = least < most
        answers = {
            "index": list(range(ROWS)),
            "tokens": [draw.randint(least, most) for _ in range(ROWS)],
            "ttft_ms": [ttft * (draw.uniform(0.7, 1.3) if wide else 1.0) for _ in range(ROWS)],
            "tpot_ms": [tpot * (draw.uniform(0.8, 1.2) if wide else 1.0) for _ in range(ROWS)],
        }
        pyarrow.parquet.write_table(pyarrow.table(answers), folder / "script.parquet")
        mean_s = sum(t + p * (n - 1) for t, p, n in zip(answers["ttft_ms"], answers["tpot_ms"], answers["tokens"])) / ROWS / 1e3
        self.most_qps = slots / mean_s
        self.options = ["--engine", "echo", "--echo-script", folder / "script.parquet", "--echo-slots", slots]

    def command(self, name, qps):
        conf = self.folder / f"{name}.conf"
        ttft, tpot = self.limits
        settings = {
            "*.performance_sample_count_override": ROWS,
            "Server.min_duration": self.args.seconds * 1000,
            "Server.min_query_count": 1000,
            "Server.target_qps": qps,
            "Server.ttft_latency": ttft,
            "Server.tpot_latency": tpot,
        }
        conf.write_text("".join(f"gpt-oss-120b.{key} = {value}\n" for key, value in settings.items()))
        words = [self.args.ossmark, "run", "--scenario", "server", "--mode", "performance", "--user-conf", conf]
        return [*words, *self.options, "--output", self.folder / name]

    def run(self, words, log):
        with (self.folder / f"{log}.log").open("w") as out:
            code = subprocess.run([str(word) for word in words], stdout=out, stderr=subprocess.STDOUT, check=False).returncode
        if code not in (0, 1):
            sys.exit(f"{' '.join(map(str, words))}\nended with {code}:\n{(self.folder / f'{log}.log').read_text()[-2000:]}")

    def predicted(self, qps):
        told = self.folder / "plan.json"
        self.run([*self.command("plan", qps), "--plan", "--force", "--json", told], "plan")
        return json.loads(told.read_text())["predicted"]

    def measured(self, name, qps):
        self.run(self.command(name, qps), name)
        verdict = json.loads((self.folder / name / "verdict.json").read_text())
        record = json.loads(subprocess.run(
            [str(self.args.ossmark), "report", str(self.folder / name), "--output", str(self.folder / f"{name}.html"), "--json", "-"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
        ).stdout)
        limits = {limit["name"]: limit["p99_ms"] for limit in record["runs"][0]["limits"]}
        return {"within_limits": verdict["loadgen"]["result"] == "VALID", "ttft_p99_ms": limits["ttft"], "tpot_p99_ms": limits["tpot"]}

    def highest(self):
        """The highest load that is predicted to be VALID, to a thousandth."""
        low, high = self.most_qps * 0.2, self.most_qps * 1.5
        while high / low > 1.001:
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.predicted(middle)["within_limits"] else (low, middle)
        return low


def case(args, number, work):
    folder = work / str(number)
    folder.mkdir()
    one = Case(args, number, folder)
    limit = one.highest()
    runs = []
    for name, share in (("below", 0.95), ("above", 1.05)):
        thought, found = one.predicted(limit * share), one.measured(name, limit * share)
        # A latency of nothing is told as nothing.
        ratios = [found[p] / thought[p] if thought[p] > 0.1 else None for p in LIMITS]
        runs.append({"qps": limit * share, "predicted": thought, "measured": found, "ratios": ratios})
    return {"system": one.name, "limit_qps": limit, "runs": runs}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossmark", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--cases", type=int, default=len(SYSTEMS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.ossmark = args.ossmark.resolve()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.jobs) as pool:
        cases = list(pool.map(lambda number: case(args, number, Path(folder)), range(args.cases)))
    right = near = 0
    for one in cases:
        words = []
        is_right = all(run["predicted"]["within_limits"] == run["measured"]["within_limits"] for run in one["runs"])
        ratios = [ratio for run in one["runs"] for ratio in run["ratios"] if ratio is not None]
        is_near = all(abs(ratio - 1) <= 0.03 for ratio in ratios)
        right, near = right + is_right, near + is_near
        for run in one["runs"]:
            shown = [f"{run['measured'][p]:.1f}/{run['predicted'][p]:.1f}" for p in LIMITS]
            words.append(f"{'VALID' if run['measured']['within_limits'] else 'INVALID':<7} TTFT {shown[0]:>15} TPOT {shown[1]:>9}")
        print(f"{one['system']:<40} {one['limit_qps']:8.2f}/s | {' | '.join(words)} | {'right' if is_right else 'WRONG'}"
              f" {'' if is_near else 'not within 3%'}")
    print(f"{right} of {len(cases)} right at 5% below and above, {near} with all 99th percentiles within 3% "
          f"(runs of {args.seconds} s, {args.jobs} at a time, load average {os.getloadavg()[0]:.2f})")
    if args.json:
        args.json.write_text(json.dumps({"seconds": args.seconds, "cases": cases}, indent=2) + "\n")
    sys.exit(0 if right * 20 >= 19 * len(cases) else 1)


if __name__ == "__main__":
    main()
