#!/usr/bin/env python3
"""`ossmark peak` beside LoadGen's FindPeakPerformance on the same system: the load that each finds, how long that takes, and
whether runs of official length at it are VALID.

    python3 benchmarks/peak.py --ossmark target/release/ossmark [--seconds 60] [--start 20] [--runs 3] [--json FILE] [-- OPTIONS OF run]
    python3 benchmarks/peak.py --ossmark target/release/ossmark --scan [--seconds 20] [--json FILE]

The system is the echo engine (16 at a time, 20 ms to the first token, 10 ms a token, 30 tokens) unless options of `run` say
otherwise; they begin with --engine then. "Official length" is --seconds, 600 in the rules: LoadGen's search makes some twenty runs of
it. FindPeakPerformance needs a load to begin with that passes (--start). With --scan, three systems of the echo engine instead (fixed
times, times per token, many at once), side by side: what `ossmark peak` finds, and what runs of the same length at every load from 5%
below to 5% above it, a percent apart, say the highest is. Python's standard library only. What else the machine does is in the result:
the load average is printed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ECHO = ["--engine", "echo", "--echo-slots", "16", "--echo-ttft-ms", "20", "--echo-tpot-ms", "10", "--echo-tokens", "30"]
SERVER = "gpt-oss-120b.Server"
FOUND = re.compile(r"Found peak performance field: ([0-9.]+)")


def conf(file, seconds, target_qps):
    """The user.conf of a run of this length, with limits that the echo engine comes to."""
    lines = [
        "gpt-oss-120b.*.performance_sample_count_override = 100",
        f"{SERVER}.min_duration = {seconds * 1000}",
        f"{SERVER}.min_query_count = 1000",
        f"{SERVER}.target_qps = {target_qps}",
        f"{SERVER}.ttft_latency = 500",
        f"{SERVER}.tpot_latency = 80",
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


def timed(words, log):
    """Runs a command; its wall time. Exit codes 0 and 1 are results."""
    begun = time.monotonic()
    with log.open("w") as out:
        code = subprocess.run([str(word) for word in words], stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if code not in (0, 1):
        sys.exit(f"{' '.join(map(str, words))}\nended with {code}; see {log}:\n{log.read_text()[-2000:]}")
    return time.monotonic() - begun


def by_peak(args, work):
    told = work / "peak.json"
    seconds = timed(
        [args.ossmark, "peak", "--scenario", "server", "--user-conf", conf(work / "peak.conf", args.seconds, 1), "--output", work / "peak"]
        + ["--json", told]
        + args.run,
        work / "peak.log",
    )
    result = json.loads(told.read_text())
    return {"found": result["target_qps"], "seconds": seconds, "interval": result["interval"], "official_runs": result["official_runs"]}


def by_loadgen(args, work):
    output = work / "find-peak"
    seconds = timed(
        [args.ossmark, "run", "--scenario", "server", "--mode", "find-peak", "--output", output]
        + ["--user-conf", conf(work / "find-peak.conf", args.seconds, args.start)]
        + args.run,
        work / "find-peak.log",
    )
    found = FOUND.search((output / "mlperf_log_detail.txt").read_text(errors="replace"))
    return {"found": float(found[1]) if found else None, "seconds": seconds}


def valid(args, work, name, target_qps):
    """How many of the runs of official length at this load are VALID."""
    results = []
    for n in range(args.runs):
        output = work / f"{name}-{n}"
        timed(
            [args.ossmark, "run", "--scenario", "server", "--mode", "performance", "--output", output]
            + ["--user-conf", conf(work / f"{name}-{n}.conf", args.seconds, target_qps)]
            + args.run,
            work / f"{name}-{n}.log",
        )
        results.append(json.loads((output / "verdict.json").read_text())["loadgen"]["result"])
    return results


SYSTEMS = {
    "fixed times": ["--echo-slots", "16", "--echo-ttft-ms", "300", "--echo-tokens", "2"],
    "times per token": ["--echo-slots", "16", "--echo-ttft-ms", "20", "--echo-tpot-ms", "10", "--echo-tokens", "30"],
    "many at once": ["--echo-slots", "64", "--echo-ttft-ms", "50", "--echo-tpot-ms", "20", "--echo-tokens", "40"],
}


def scanned(args, name, work):
    """What the search finds of a system, beside a scan of its neighbourhood."""
    work.mkdir()
    args = argparse.Namespace(**{**vars(args), "run": ["--engine", "echo", *SYSTEMS[name]], "runs": 1})
    row = by_peak(args, work)
    row["scan"] = {}
    if row["found"]:
        for percent in range(-5, 6):
            qps = row["found"] * (1 + percent / 100)
            row["scan"][qps] = valid(args, work, f"scan{percent}", qps)[0]
    passed = [qps for qps, result in row["scan"].items() if result == "VALID"]
    row["highest"] = max(passed, default=None)
    return row


def scan(args):
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(SYSTEMS)) as pool:
        names = list(SYSTEMS)
        rows = list(pool.map(lambda name: scanned(args, name, Path(folder) / name.replace(" ", "-")), names))
    for name, row in zip(names, rows):
        ratio = f"{row['found'] / row['highest']:.4f}" if row["found"] and row["highest"] else "-"
        results = "".join("V" if result == "VALID" else "i" for result in row["scan"].values())
        print(
            f"{name:<16} found {row['found'] or 0:8.3f}/s in {row['seconds']:5.1f} s, {row['official_runs']} runs of {args.seconds} s, "
            f"interval {row['interval'][0]:.2f}-{row['interval'][1]:.2f}; scan {results}, highest {row['highest'] or 0:8.3f}, ratio {ratio}"
        )
    print(f"load average {os.getloadavg()[0]:.2f}")
    return dict(zip(names, rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossmark", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--start", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scan", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("run", nargs="*", help="options of run, after --")
    args = parser.parse_args()
    args.run = args.run or ECHO
    if args.scan:
        table = scan(args)
        if args.json:
            args.json.write_text(json.dumps({"seconds": args.seconds, "systems": table}, indent=2) + "\n")
        return
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, search in (("ossmark peak", by_peak), ("FindPeakPerformance", by_loadgen)):
            row = search(args, work)
            short = name.split()[0].lower()
            row["runs"] = valid(args, work, short, row["found"]) if row["found"] else []
            row["load_average"] = os.getloadavg()[0]
            table[name] = row
            found = f"{row['found']:.3f}" if row["found"] else "nothing"
            print(
                f"{name:<20} {found:>10} queries/s in {row['seconds']:8.1f} s; runs of {args.seconds} s at it: "
                f"{', '.join(row['runs']) or '-'} (load average {row['load_average']:.2f})",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps({"seconds": args.seconds, "run": args.run, "searches": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
