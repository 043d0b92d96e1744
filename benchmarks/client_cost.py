#!/usr/bin/env python3
"""What load generators cost: ossmark, AIPerf, GuideLLM and vLLM's bench before the same `ossmark serve --engine echo`, in one run.

    python3 benchmarks/client_cost.py --ossmark target/release/ossmark [--work DIR] [--streams 64,256,1024] [CLIENT ...]

Requests a second, with an echo that answers at once; and processor time a token, of all of a client's processes, with an echo at a
token every 50 ms. Both between a short and a long run of the client, so that nobody pays for its start. Every client streams.
The environments are those of real_peers.py (--work is shared with it; they are left there).
"""

import argparse
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path

import real_peers
import real_peers_vllm
from real_peers import DEMO, Bench, demo_with_template, run

TOKENS = 32
PACED_MS = 50


def cost_of(command, allow=(0,), **options):
    """Seconds, processor seconds with those of all children, and what it said."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = run(command, **options)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode not in allow:
        raise RuntimeError((ended.stdout + ended.stderr).strip()[-400:])
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, spent, ended.stdout


class Ossmark:
    name = "ossmark"

    def __init__(self, bench):
        self.bench = bench

    def run(self, url, streams, requests):
        output = self.bench.work / "cost-ossmark"
        shutil.rmtree(output, ignore_errors=True)
        conf = self.bench.work / "cost.conf"
        conf.write_text("gpt-oss-120b.*.performance_sample_count_override = 512\n*.Offline.min_duration = 0\n*.Offline.target_qps = 1\n"
                        f"*.Offline.min_query_count = {requests}\n")
        return cost_of([self.bench.ossmark, "run", "--scenario", "offline", "--mode", "performance", "--dataset", DEMO / "perf.parquet",
                        "--any-dataset", "--output", output, "--engine", "http", "--endpoint", url, "--http-stream", "on",
                        "--user-conf", conf, "--max-new-tokens", TOKENS, "--max-concurrency", streams], allow=[0, 1])


class Aiperf:
    name = "aiperf 0.13.0"

    def __init__(self, bench):
        self.bench = bench

    def run(self, url, streams, requests):
        with self.bench.environment("aiperf", "aiperf==0.13.0") as python:
            output = self.bench.work / "cost-aiperf"
            shutil.rmtree(output, ignore_errors=True)
            return cost_of([python.parent / "aiperf", "profile", "--model", "demo", "--url", url, "--endpoint-type", "completions",
                            "--streaming", "--tokenizer", demo_with_template(self.bench.work / "aiperf-model"), "--concurrency",
                            streams, "--request-count", requests, "--synthetic-input-tokens-mean", "20", "--output-tokens-mean",
                            TOKENS, "--use-server-token-count", "--artifact-dir", output, "--ui", "none"])


class Guidellm:
    name = "guidellm 0.8.1"

    def __init__(self, bench):
        self.bench = bench

    def run(self, url, streams, requests):
        with self.bench.environment("guidellm", "guidellm==0.8.1") as python:
            return cost_of([python.parent / "guidellm", "run", "--backend", f"kind=openai_http,target={url}", "--profile",
                            f"kind=concurrent,streams={streams}", "--constraint", f"kind=max_requests,count={requests}",
                            "--tokenizer", f"kind=huggingface_auto,model={DEMO}", "--data",
                            f"kind=synthetic_text,prompt_tokens=20,output_tokens={TOKENS}", "--output",
                            f"kind=json,path={self.bench.work / 'cost-guidellm.json'}", "--disable-console-interactive"])


class VllmBench:
    name = f"vllm bench {real_peers_vllm.VERSION}"

    def __init__(self, bench):
        self.bench = bench

    def run(self, url, streams, requests):
        with real_peers_vllm.environment(self.bench) as python:
            real_peers_vllm.prepare(self.bench, python, DEMO)
            return cost_of([python, "-m", "vllm.entrypoints.cli.main", "bench", "serve", "--backend", "openai", "--base-url", url,
                            "--model", "demo", "--tokenizer", DEMO, "--dataset-name", "random", "--random-input-len", "20",
                            "--random-output-len", TOKENS, "--num-prompts", requests, "--max-concurrency", streams],
                           env={**os.environ, **real_peers_vllm.ENVIRONMENT})


CLIENTS = {"ossmark": Ossmark, "aiperf": Aiperf, "guidellm": Guidellm, "vllm-bench": VllmBench}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ossmark", default=real_peers.REPOSITORY / "target" / "release" / "ossmark")
    parser.add_argument("--work", default="/tmp/ossmark-real-peers")
    parser.add_argument("--streams", default="64,256,1024")
    parser.add_argument("client", nargs="*", help=f"of {', '.join(CLIENTS)}; all by default")
    arguments = parser.parse_args()
    arguments.keep, arguments.record = True, None
    bench = Bench(arguments)
    bench.work.mkdir(parents=True, exist_ok=True)
    clients = [CLIENTS[name](bench) for name in arguments.client or CLIENTS]
    serve = ["--engine", "echo", "--tokenizer", DEMO, "--echo-tokens", TOKENS]
    print("| streams | client | requests/s | processor time a token, us | load |\n|---|---|---|---|---|", flush=True)
    for streams in map(int, arguments.streams.split(",")):
        found = {}
        for client in clients:
            quick = client.name == "ossmark"
            few = streams * (20 if quick else 1)
            many = few + streams * (200 if quick else 8)
            try:
                with bench.serve("", *serve) as url:
                    (short, *_), (long, *_) = (client.run(url, streams, n) for n in (few, many))
                    rate = (many - few) / max(long - short, 1e-9)
                with bench.serve("", *serve, "--echo-tpot-ms", PACED_MS) as url:
                    (_, less, _), (_, more, _) = (client.run(url, streams, streams * n) for n in (1, 6))
                    each = (more - less) * 1e6 / (5 * streams * TOKENS)
            except RuntimeError as error:
                print(f"| {streams} | {client.name} | failed: {error} | | |", flush=True)
                continue
            found[client.name] = (rate, each)
            print(f"| {streams} | {client.name} | {rate:,.0f} | {each:.1f} | {os.getloadavg()[0]:.1f} |", flush=True)
        for name, (rate, each) in found.items():
            if name != "ossmark" and "ossmark" in found:
                ours = found["ossmark"]
                print(f"| {streams} | ossmark against {name} | {ours[0] / rate:.1f}x | {each / ours[1]:.1f}x | |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
