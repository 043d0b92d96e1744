#!/usr/bin/env python3
"""Many streams at once against `ossmark serve`, with clients that vanish at random. Python's standard library only.

Each of --streams workers asks /generate for a stream, again and again, until --seconds are over. A share of --vanish of
them closes its connection at a random moment; the others read to the end and check it: `[DONE]`, as many ids as
`completion_tokens` says, and a finish reason. Then /metrics must come to rest: nothing open, running or waiting, every KV
block free. With --pid the server's memory is sampled as it goes.

    ossmark serve --engine echo --port 30000 --echo-tokens 64 --echo-ttft-ms 50 --echo-tpot-ms 20 &
    benchmarks/serve_load.py --port 30000 --pid $! --streams 2000 --seconds 60

Exit 0: all whole answers were right and the server came to rest. Exit 1: not.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter

REST = {
    "ossmark_requests_open": 0,
    "ossmark_requests_in_engine": 0,
    "ossmark_engine_running": 0,
    "ossmark_engine_waiting": 0,
    "ossmark_kv_blocks_used": 0,
}


async def one(args, rng, vanish):
    """One request; what became of it."""
    prompt = [rng.randrange(args.vocab) for _ in range(args.prompt_tokens)]
    params = {"max_new_tokens": rng.randint(2, args.max_new_tokens), "temperature": 1.0}
    body = json.dumps({"input_ids": prompt, "sampling_params": params, "stream": True}).encode()
    reader, writer = await asyncio.open_connection(args.host, args.port, limit=1 << 22)
    try:
        head = f"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        if vanish:
            try:
                async with asyncio.timeout(rng.uniform(0, args.vanish_within)):
                    while await reader.read(4096):
                        pass
                return "ended before it could vanish"
            except TimeoutError:
                if rng.random() < 0.5:
                    # A reset, not an orderly close.
                    writer.transport.abort()
                return "vanished"
        status = int((await reader.readuntil(b"\r\n")).split()[1])
        await reader.readuntil(b"\r\n\r\n")
        if status != 200:
            return f"status {status}"
        last, done = None, False
        while line := await reader.readline():
            if line.startswith(b"data: [DONE]"):
                done = True
            elif line.startswith(b"data: "):
                last = line
        if not done or last is None:
            return "cut off"
        last = json.loads(last[6:])
        meta = last["meta_info"]
        if not meta["finish_reason"] or len(last["output_ids"]) != meta["completion_tokens"]:
            return "wrong answer"
        return "whole"
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        return type(error).__name__
    finally:
        writer.close()


async def worker(args, seed, until, outcomes):
    rng = random.Random(seed)
    while time.monotonic() < until:
        outcomes[await one(args, rng, rng.random() < args.vanish)] += 1


async def metrics(args):
    reader, writer = await asyncio.open_connection(args.host, args.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    text = (await reader.read(-1)).decode()
    writer.close()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("ossmark_")]
    return {name: float(value) for name, value in lines}


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


async def watch(args, until):
    while time.monotonic() < until:
        await asyncio.sleep(args.seconds / 6)
        now = await metrics(args)
        memory = f", {rss_mib(args.pid):.1f} MiB" if args.pid else ""
        left = until - time.monotonic()
        print(f"{max(left, 0):5.1f} s left: {now['ossmark_requests_open']:.0f} open, {now['ossmark_http_connections']:.0f} connections{memory}", flush=True)


async def main(args):
    outcomes = Counter()
    until = time.monotonic() + args.seconds
    if args.pid:
        print(f"before: {rss_mib(args.pid):.1f} MiB")
    workers = [worker(args, seed, until, outcomes) for seed in range(args.streams)]
    await asyncio.gather(watch(args, until), *workers)
    deadline = time.monotonic() + 30
    while True:
        now = await metrics(args)
        waiting = {name: now[name] for name, value in REST.items() if now.get(name, 0) != value}
        if not waiting or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    print("outcomes:", dict(outcomes))
    print("at rest:", {name: now[name] for name in REST if name in now}, f"cancelled {now['ossmark_requests_cancelled_total']:.0f}")
    if args.pid:
        print(f"after: {rss_mib(args.pid):.1f} MiB")
    bad = {name: n for name, n in outcomes.items() if name not in ("whole", "vanished", "ended before it could vanish")}
    if bad or waiting or not outcomes["whole"]:
        print("NOT GOOD:", bad, waiting)
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--vanish", type=float, default=0.3)
    parser.add_argument("--vanish-within", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--prompt-tokens", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--vocab", type=int, default=400)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.exit(asyncio.run(main(parser.parse_args())))
