#!/usr/bin/env python3
"""Pairs of real runs by the echo engine: what `ossmark compare` makes of them, and whether power sources change a run.

    python3 benchmarks/paired_runs.py compare --ossmark target/release/ossmark [--pairs 20] [--slower 3] [--json FILE]
    python3 benchmarks/paired_runs.py power   --ossmark target/release/ossmark [--pairs 5] [--json FILE]

`compare`: Server runs of one script (2,048 samples, 400 a second, answers of 20 to 250 tokens) in pairs, one after the other: as
many pairs that are alike as pairs whose second run is so many percent slower. It counts the pairs that were called no more than
noise, those in which the difference was found, and those whose intervals of every latency hold it.

`power`: the same run without a power source and with each that misbehaves (a command that hangs, one that prints nonsense, one
that dies, an exporter that vanishes), in turn; every verdict, and the latencies beside each other.

Needs pyarrow. Each run takes about nine seconds; the load average is printed with every pair, because two runs on a machine that
others use differ by what others did.
"""

import argparse
import contextlib
import http.server
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pyarrow
import pyarrow.parquet

REPOSITORY = Path(__file__).resolve().parent.parent
ROWS = 512
USER_CONF = f"""\
gpt-oss-120b.*.performance_sample_count_override = {ROWS}
*.Server.min_duration = 0
*.Server.min_query_count = {4 * ROWS}
*.Server.target_qps = 400
gpt-oss-120b.Server.ttft_latency = 60000
gpt-oss-120b.Server.tpot_latency = 60000
"""
LATENCIES = ["ttft_p50_ms", "ttft_p99_ms", "tpot_p50_ms", "tpot_p99_ms"]


class Bench:
    def __init__(self, ossmark, work):
        self.ossmark = str(Path(ossmark).resolve())
        self.work = Path(work)
        self.conf = self.work / "user.conf"
        self.conf.write_text(USER_CONF)
        self.runs = 0

    def script(self, slower):
        """One script; every latency in it is `slower` times that of the first."""
        path = self.work / f"script-{slower}.parquet"
        if not path.exists():
            dice = random.Random(20261130)
            lines = [(20 + int(dice.expovariate(1 / 60)) % 230, 200 + dice.expovariate(1 / 100), 8 + 4 * dice.random())
                     for _ in range(ROWS)]
            table = pyarrow.table({
                "index": list(range(ROWS)),
                "tokens": [tokens for tokens, _, _ in lines],
                "ttft_ms": [slower * ttft for _, ttft, _ in lines],
                "tpot_ms": [slower * tpot for _, _, tpot in lines],
            })
            pyarrow.parquet.write_table(table, path)
        return path

    def run(self, slower=1.0, more=()):
        """A run's directory and its verdict."""
        self.runs += 1
        out = self.work / f"run-{self.runs}"
        done = subprocess.run(
            [self.ossmark, "run", "--engine", "echo", "--scenario", "server", "--mode", "performance", "--dataset",
             REPOSITORY / "demo/perf.parquet", "--user-conf", self.conf, "--echo-script", self.script(slower), "--output", out,
             *more],
            capture_output=True, text=True, timeout=300, check=False)
        if done.returncode not in (0, 1):
            sys.exit(f"{done.args}: exit {done.returncode}\n{done.stderr}")
        return out, json.loads((out / "verdict.json").read_text())["verdict"]

    def compare(self, a, b):
        file = self.work / "compare.json"
        subprocess.run([self.ossmark, "compare", *a, "--with", *b, "--json", file, "--force"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(file.read_text())


def load():
    return os.getloadavg()[0]


def compare(bench, arguments):
    truth = 1 + arguments.slower / 100
    lines = []
    for n in range(1, arguments.pairs + 1):
        for slower in (1.0, truth):
            a, b = bench.run()[0], bench.run(slower)[0]
            found = bench.compare([a], [b])
            metrics = {metric["name"]: metric for metric in found["metrics"]}
            inside = [name for name in LATENCIES if metrics[name]["interval"][0] <= slower <= metrics[name]["interval"][1]]
            line = {
                "pair": n, "slower": slower, "noise": found["noise"], "load": load(),
                "found": not found["noise"] and metrics["tpot_p50_ms"]["noise"] is False,
                "inside": inside, "ratios": {name: metrics[name]["ratio"] for name in LATENCIES},
                "differs": [name for name in metrics if metrics[name]["noise"] is False],
            }
            lines.append(line)
            print(f"pair {n}, {slower:.2f}: {'noise' if found['noise'] else 'differs: ' + ', '.join(line['differs'])}; "
                  f"intervals hold it: {len(inside)} of {len(LATENCIES)}; load {line['load']:.1f}", flush=True)
    alike = [line for line in lines if line["slower"] == 1.0]
    slower = [line for line in lines if line["slower"] != 1.0]
    result = {
        "pairs": arguments.pairs,
        "alike_called_noise": sum(line["noise"] for line in alike),
        "slower_found": sum(line["found"] for line in slower),
        "slower_all_intervals_hold": sum(len(line["inside"]) == len(LATENCIES) for line in slower),
        "load": [min(line["load"] for line in lines), max(line["load"] for line in lines)],
        "lines": lines,
    }
    print(f"alike: {result['alike_called_noise']} of {arguments.pairs} no more than noise; {arguments.slower}% slower: "
          f"{result['slower_found']} of {arguments.pairs} found, in {result['slower_all_intervals_hold']} every interval holds it; "
          f"load {result['load'][0]:.1f} to {result['load'][1]:.1f}")
    return result


@contextlib.contextmanager
def vanishing_exporter(seconds):
    """A Prometheus exporter that is there for so long."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"# TYPE DCGM_FI_DEV_POWER_USAGE gauge\nDCGM_FI_DEV_POWER_USAGE{gpu=\"0\"} 412.5\n"
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def vanish():
        server.shutdown()
        server.server_close()

    timer = threading.Timer(seconds, vanish)
    timer.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    finally:
        timer.join()


def power(bench, arguments):
    commands = {
        "hangs": "sleep 1000",
        "nonsense": "yes not-a-number",
        "dies": "false",
    }
    runs = {name: [] for name in ["none", *commands, "vanishes"]}
    loads = []
    for n in range(1, arguments.pairs + 1):
        for name, made in runs.items():
            if name == "vanishes":
                with vanishing_exporter(3) as url:
                    made.append(bench.run(more=["--power-prometheus", url]))
            else:
                made.append(bench.run(more=["--power-command", commands[name]] if name in commands else []))
            loads.append(load())
        print(f"round {n} of {arguments.pairs}; load {loads[-1]:.1f}", flush=True)
    result = {"load": [min(loads), max(loads)], "sources": {}}
    for name, made in runs.items():
        found = bench.compare([out for out, _ in runs["none"]], [out for out, _ in made])
        values = {metric["name"]: statistics.median(metric["values"][len(made):]) for metric in found["metrics"]}
        verdicts = [verdict for _, verdict in made]
        result["sources"][name] = {"verdicts": verdicts, "medians": values, "noise": found["noise"]}
        shown = ", ".join(f"{metric} {values[metric]:.3f}" for metric in [*LATENCIES, "tokens_per_s"] if metric in values)
        print(f"{name:>9}: {verdicts.count('valid')} of {len(made)} valid; {shown}; "
              f"{'no more than noise' if found['noise'] else 'DIFFERS'}")
    print(f"load {result['load'][0]:.1f} to {result['load'][1]:.1f}")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["compare", "power"])
    parser.add_argument("--ossmark", required=True)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--slower", type=float, default=3.0, metavar="PERCENT")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    arguments.pairs = arguments.pairs or {"compare": 20, "power": 5}[arguments.what]
    with tempfile.TemporaryDirectory() as work:
        result = {"compare": compare, "power": power}[arguments.what](Bench(arguments.ossmark, work), arguments)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")


main()
