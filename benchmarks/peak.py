#!/usr/bin/env python3
"""`ossmark peak` beside LoadGen's FindPeakPerformance on the same system: the load that each finds, how long that takes, and
whether runs of official length at it are VALID.

    python3 benchmarks/peak.py --ossmark target/release/ossmark [--seconds 60] [--start 20] [--runs 3] [--json FILE] [-- OPTIONS OF run]

The system is the echo engine (16 at a time, 20 ms to the first token, 10 ms a token, 30 tokens) unless options of `run` say
otherwise; they begin with --engine then. "Official length" is --seconds, 600 in the rules: LoadGen's search makes some twenty runs of
it. FindPeakPerformance needs a load to begin with that passes (--start). Python's standard library only. What else the machine does is
in the result: the load average is printed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossmark", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--start", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("run", nargs="*", help="options of run, after --")
    args = parser.parse_args()
    args.run = args.run or ECHO
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
