#!/usr/bin/env python3
"""What streams over HTTP cost: ossmark before `ossmark serve --engine echo`, beside a bare loopback program with the same messages.

    cargo build --release && cargo build --release -p ossmark-remote --example loopback
    python3 benchmarks/streams.py [--work DIR] [hold] [saturate] [many]

hold: a Server run that keeps 2,000 streams open, a token every 50 ms, each an event; what it adds to the time of the first token.
saturate: as many tokens a second as go, Offline. many: 20,000 streams open at once, from several addresses of 127.0.0.0/8.
Everything runs on this machine, one after the other; the load average stands beside each figure. Python's standard library only.
"""

import argparse
import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DEMO = REPOSITORY / "demo"
TTFT_MS, TPOT_MS = 100, 50


def load():
    return f"load {os.getloadavg()[0]:.1f}"


def memory(pid):
    """Resident MiB of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def available():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Streams:
    def __init__(self, arguments):
        self.ossmark = Path(arguments.ossmark).resolve()
        self.loopback = Path(arguments.loopback).resolve()
        self.work = Path(arguments.work).resolve()
        self.seconds = arguments.seconds
        self.failed = False

    @contextlib.contextmanager
    def serve(self, tokens, ttft, tpot, *options):
        command = [self.ossmark, "serve", "--engine", "echo", "--port", "0", "--echo-tokens", tokens, "--echo-ttft-ms", ttft,
                   "--echo-tpot-ms", tpot, *options]
        server = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        try:
            yield server.pid, server.stdout.readline().split()[-1]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)

    def messages(self, url, tokens):
        """The events of one streamed answer, as a file."""
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        body = {"model": "echo", "prompt": list(range(512)), "max_tokens": tokens, "temperature": 1, "stream": True,
                "stream_options": {"include_usage": True}, "return_token_ids": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        file = self.work / "messages.txt"
        file.write_bytes(connection.getresponse().read())
        return file

    def bare(self, *arguments):
        command = [str(self.loopback), *map(str, arguments)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])

    def conf(self, lines):
        file = self.work / "user.conf"
        file.write_text("gpt-oss-120b.*.performance_sample_count_override = 512\n" + lines)
        return file

    def ossmark_run(self, url, name, *options, watch=None):
        """A run over HTTP; its verdict, and its memory as it goes."""
        output = self.work / name
        shutil.rmtree(output, ignore_errors=True)
        command = [self.ossmark, "run", "--mode", "performance", "--dataset", DEMO / "perf.parquet", "--any-dataset", "--output",
                   output, "--engine", "http", "--endpoint", url, "--http-stream", "on", *options]
        child = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = []
        reader = threading.Thread(target=lambda: said.extend(child.stderr), daemon=True)
        reader.start()
        sizes = []
        while child.poll() is None:
            with contextlib.suppress(OSError):
                sizes.append(memory(child.pid))
            time.sleep(1)
        reader.join()
        verdict = output / "verdict.json"
        if not verdict.exists():
            raise RuntimeError("".join(said))
        return json.loads(verdict.read_text()), sizes

    def check(self, good, what):
        self.failed |= not good
        print(f"{'ok  ' if good else 'NOT '}{what}", flush=True)

    def hold(self):
        tokens, streams = 400, 2000
        each = (TTFT_MS + TPOT_MS * (tokens - 1)) / 1e3
        with self.serve(tokens, TTFT_MS, TPOT_MS) as (server, url):
            file = self.messages(url, tokens)
            bare = self.bare("hold", file, streams, TTFT_MS, TPOT_MS, self.seconds)
            added = bare["ttft_added_ms"]
            print(f"bare: {bare['streams']} streams, {bare['messages']} messages, first message late by "
                  f"{added['p50']:.1f} ms (median), {added['p99']:.1f} ms (p99); {load()}", flush=True)
            conf = self.conf(f"*.Server.min_duration = {self.seconds * 1000}\n*.Server.min_query_count = 1\n"
                             "gpt-oss-120b.Server.ttft_latency = 60000\ngpt-oss-120b.Server.tpot_latency = 60000\n")
            verdict, sizes = self.ossmark_run(
                url, "hold", "--scenario", "server", "--user-conf", conf, "--max-new-tokens", tokens, "--target-qps",
                streams / each, "--max-concurrency", 2 * streams)
        metrics = verdict["metrics"]
        first = metrics["harness"]["ttft_ns"]
        ours = {name: first[name] / 1e6 - TTFT_MS for name in ["p50", "p99"]}
        remote = metrics["remote"]
        print(f"ossmark: {remote['requests']} streams, {remote['pieces']} pieces, first token late by {ours['p50']:.1f} ms "
              f"(median), {ours['p99']:.1f} ms (p99); {load()}")
        print("ossmark's memory, MiB, every 10 s: " + ", ".join(f"{size:.0f}" for size in sizes[::10]), flush=True)
        faults = verdict["faults"]
        self.check(not faults and not remote["failed"], f"no fault ({faults})")
        self.check(ours["p99"] <= 2 * added["p99"], f"p99 added: {ours['p99']:.1f} ms, at most twice {added['p99']:.1f} ms")

    def saturate(self):
        tokens, streams = 400, 128
        with self.serve(tokens, 0, 0.001) as (server, url):
            file = self.messages(url, tokens)
            seconds = min(self.seconds, 20)
            bare = self.bare("saturate", file, streams, seconds)["messages_per_s"]
            print(f"bare: {bare:,.0f} messages/s; {load()}", flush=True)
            conf = self.conf("*.Offline.min_duration = 0\n*.Offline.target_qps = 1\n*.Offline.min_query_count = 10000\n")
            began = time.monotonic()
            verdict, sizes = self.ossmark_run(
                url, "saturate", "--scenario", "offline", "--user-conf", conf, "--max-new-tokens", tokens, "--max-concurrency", streams)
            took = time.monotonic() - began
        metrics = verdict["metrics"]
        rate = metrics["tokens_per_second"]
        print(f"ossmark: {rate:,.0f} tokens/s in {metrics['remote']['pieces'] / took:,.0f} pieces/s, {took:.0f} s; {load()}")
        print("ossmark's memory, MiB, every 5 s: " + ", ".join(f"{size:.0f}" for size in sizes[::5]), flush=True)
        self.check(not verdict["faults"], f"no fault ({verdict['faults']})")
        self.check(rate >= bare / 3, f"{rate:,.0f} tokens/s, at least a third of {bare:,.0f}")

    def many(self):
        streams, passes, tokens = 20_000, 40, 60
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < 2 * streams:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 2 * streams))
        output = self.work / "many.parquet"
        for old in self.work.glob("many*"):
            old.unlink()
        with self.serve(tokens, 20_000, 1000, "--max-concurrency", 2 * streams) as (server, url):
            before = (memory(server), available())
            command = [self.ossmark, "infer", "--engine", "http", "--endpoint", url, "--http-stream", "on", "--max-concurrency",
                       streams, "--dataset", DEMO / "perf.parquet", "--tokenizer", DEMO, "--output", output, "--json",
                       self.work / "many.json", "--pass-k", passes, "--max-new-tokens", tokens]
            for last in range(2, 6):
                command += ["--source-address", f"127.0.0.{last}"]
            child = subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True)
            said = []
            reader = threading.Thread(target=lambda: said.extend(child.stderr), daemon=True)
            reader.start()
            # Its own before it has any stream: it is at rest when it has asked the server what it is.
            time.sleep(1.0)
            sizes, most = [], 0
            while child.poll() is None:
                with contextlib.suppress(OSError):
                    open_now = self.metric(url, "ossmark_requests_open")
                    sizes.append((open_now, memory(child.pid), memory(server), available()))
                    if open_now > most:
                        most = open_now
                        print(f"{open_now:.0f} streams open, ossmark infer {sizes[-1][1]:.0f} MiB, {load()}", flush=True)
                time.sleep(2)
            reader.join()
            print("".join(line for line in said if "limit of open files" in line), end="")
        done = json.loads((self.work / "many.json").read_text()) if (self.work / "many.json").exists() else {"said": said[-5:]}
        full = [size for size in sizes if size[0] >= most * 0.99]
        client = max(size[1] for size in full)
        total = before[1] - min(size[3] for size in full)
        print(f"most open: {most:.0f}; ossmark infer {client:.0f} MiB resident, serve {max(size[2] for size in full):.0f} MiB "
              f"({before[0]:.0f} before), the whole machine {total:.0f} MiB more than before, sockets included")
        print(f"a stream: {client * 1024 / most:.1f} KiB of ossmark infer all in all; {load()}")
        self.check(most >= streams and child.returncode == 0, f"{done.get('answered')} answered, exit {child.returncode}")

    @staticmethod
    def metric(url, name):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        connection.request("GET", "/metrics")
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return 0.0


def main():
    parts = ["hold", "saturate", "many"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ossmark", default=REPOSITORY / "target" / "release" / "ossmark")
    parser.add_argument("--loopback", default=REPOSITORY / "target" / "release" / "examples" / "loopback")
    parser.add_argument("--work", default="/tmp/ossmark-streams")
    parser.add_argument("--seconds", type=int, default=120, help="of a test that holds streams")
    parser.add_argument("part", nargs="*", choices=[*parts, []], help="all by default")
    arguments = parser.parse_args()
    streams = Streams(arguments)
    streams.work.mkdir(parents=True, exist_ok=True)
    for part in arguments.part or parts:
        print(f"{part}:", flush=True)
        getattr(streams, part)()
    return int(streams.failed)


if __name__ == "__main__":
    sys.exit(main())
