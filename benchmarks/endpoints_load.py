#!/usr/bin/env python3
"""The load generator of `ossmark endpoints run`: requests/s beside MLCommons' client, requests under way, and what it adds to TTFT.

    cargo build --release && cargo build --release -p ossmark-remote --example stamped
    ENDPOINTS_SRC=/path/to/mlcommons-endpoints ENDPOINTS_PYTHON=/path/to/venv/bin/python benchmarks/endpoints_load.py [rate] [held] [bias]

rate: before `ossmark serve --engine echo`, which answers at once, C = 64, 512, 2048: requests/s, and with ENDPOINTS_SRC those of
MLCommons' client (see endpoints_client.py) before the same server right after it.
held: before the same server with answers of 0.3 s: how many requests it says are open, sampled while the load lasts.
bias: before a server that says in each answer how long it took itself (crates/remote/examples/stamped.rs), C = 64: how much later the
first text came by events.jsonl, beside a bare client of the same server, in turn. Not part of CI: it says how fast this machine is.
"""

import argparse, json, os, subprocess, sys, tempfile, threading, time, urllib.request
from pathlib import Path
from endpoints_client import DEMO, REPO, official, serve

ROWS = 512


def run(args, url, concurrency, passes, directory):
    out = directory / f"ours-{concurrency}"
    words = [args.ossmark, "endpoints", "run", "--engine", "http", "--endpoint", url, "--points", concurrency, "--passes", passes,
             "--dataset", DEMO / "perf.parquet", "--tokenizer", DEMO, "--output", out, "--max-new-tokens", 256]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"ended with {done.returncode}: {done.stdout}{done.stderr}")
    summary = json.loads((out / f"r{concurrency}/performance/result_summary.json").read_text())
    point = json.loads((out / "rehearsal.json").read_text())["points"][0]
    return summary, point, out / f"r{concurrency}/events.jsonl"


def ended(server):
    server.terminate()
    server.wait()


def echo(args, *words):
    return serve(args.ossmark, ["--engine", "echo", "--tokenizer", DEMO, "--max-concurrency", 16384, "--echo-tokens", args.tokens, *words])


def rate(args, directory):
    for concurrency in args.concurrency:
        server, url = echo(args)
        try:
            summary, point, _ = run(args, url, concurrency, args.passes, directory)
            line = (f"rate C={concurrency}: {summary['n_samples_completed']} requests, {summary['qps']:.0f}/s, "
                    f"{point['mean_under_way_while_issuing']:.2f} under way, TTFT p50 {summary['ttft']['median'] / 1e6:.2f} ms")
            if "ENDPOINTS_SRC" in os.environ:
                requests = args.passes * ROWS // 4
                other, _ = official(url, "openai_completions", concurrency, requests, directory / f"theirs-{concurrency}")
                line += f"; MLCommons' client: {requests} requests, {other['qps']:.0f}/s: {summary['qps'] / other['qps']:.1f}x"
            print(line, flush=True)
        finally:
            ended(server)


def held(args, directory):
    for concurrency in args.concurrency:
        server, url = echo(args, "--echo-ttft-ms", 200, "--echo-tpot-ms", 100 / args.tokens)
        seen, over = [], threading.Event()

        def sample():
            while not over.wait(0.05):
                text = urllib.request.urlopen(f"{url}/metrics").read().decode()
                seen.append(next(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith("ossmark_requests_open")))

        thread = threading.Thread(target=sample)
        try:
            thread.start()
            passes = max(4, concurrency * 20 // ROWS)
            summary, point, _ = run(args, url, concurrency, passes, directory / "held")
        finally:
            over.set()
            thread.join()
            ended(server)
        full = [at for at, n in enumerate(seen) if n >= concurrency * 0.9]
        inside = seen[full[0]:full[-1] + 1] if full else [0]
        print(f"held C={concurrency}: {summary['n_samples_completed']} requests, by the log {point['mean_under_way_while_issuing']:.1f} under way; "
              f"the server had {sum(inside) / len(inside):.1f} on average, least {min(inside)}, most {max(seen)}, of {len(inside)} samples", flush=True)


def late(events):
    """Nanoseconds by which each first text came later than the server says."""
    issued, first, found = {}, {}, []
    for line in events.open():
        event = json.loads(line)
        uuid, at = event["sample_uuid"], event["timestamp_ns"]
        match event["event_type"]:
            case "sample.issued":
                issued[uuid] = at
            case "sample.recv_first":
                first[uuid] = at
            case "sample.complete":
                found.append(first[uuid] - issued[uuid] - int(event["data"][1][0]))
    return found


def quantiles(values):
    values = sorted(values)
    return [values[int((len(values) - 1) * p)] / 1e3 for p in (0.5, 0.99)]


def bias(args, directory):
    words = [args.stamped, "serve", args.ttft_ms, args.tpot_ms, args.tokens + 8]
    server = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
    address = server.stdout.readline().strip()
    try:
        for turn in range(args.turns):
            began = time.monotonic()
            _, _, events = run(args, f"http://{address}", 64, 16, directory / f"bias-{turn}")
            seconds = time.monotonic() - began
            ours = quantiles(late(events))
            words = [args.stamped, "ask", address, "64", f"{min(seconds, 10):.1f}"]
            bare = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
            bare = quantiles([int(ns) for ns in bare.stdout.split()])
            print(f"bias C=64, turn {turn + 1}: p50 {ours[0]:.0f} us, p99 {ours[1]:.0f} us; bare client p50 {bare[0]:.0f} us, p99 {bare[1]:.0f} us: "
                  f"p99 {ours[1] / bare[1]:.2f}x (load {os.getloadavg()[0]:.1f})", flush=True)
    finally:
        ended(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["rate", "held", "bias"])
    parser.add_argument("--ossmark", default=REPO / "target/release/ossmark")
    parser.add_argument("--stamped", default=REPO / "target/release/examples/stamped")
    parser.add_argument("--concurrency", type=lambda text: [int(c) for c in text.split(",")], default=[64, 512, 2048])
    parser.add_argument("--passes", type=int, default=40, help="over the demo's 512 rows")
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--ttft-ms", type=float, default=100)
    parser.add_argument("--tpot-ms", type=float, default=20)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for part in args.parts:
            {"rate": rate, "held": held, "bias": bias}[part](args, Path(name))


if __name__ == "__main__":
    main()
