"""A null system under test on LoadGen's Python binding, for `ossmark bench loadgen --compare-python`.

Does what ossmark's own null engine does: every sample gets a first token and an answer of the same number of tokens,
from a worker thread (`--inline`: inside issue_query). Prints one line of JSON. Needs: pip install mlcommons-loadgen.
"""

import argparse
import array
import json
import os
import queue
import threading
import time

import mlperf_loadgen as lg

BATCH = 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenario", choices=["server", "offline"], required=True)
    parser.add_argument("--qps", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--inline", action="store_true")
    args = parser.parse_args()
    server = args.scenario == "server"

    answer = array.array("i", range(args.tokens))
    address, _ = answer.buffer_info()
    size = len(answer) * answer.itemsize
    first_size = answer.itemsize

    def complete(ids):
        for at in range(0, len(ids), BATCH):
            part = ids[at : at + BATCH]
            if server:
                lg.FirstTokenComplete([lg.QuerySampleResponse(i, address, first_size, 1) for i in part])
            lg.QuerySamplesComplete([lg.QuerySampleResponse(i, address, size, args.tokens) for i in part])

    work = queue.SimpleQueue()

    def worker():
        while (ids := work.get()) is not None:
            complete(ids)

    def issue(samples):
        ids = [s.id for s in samples]
        complete(ids) if args.inline else work.put(ids)

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()

    settings = lg.TestSettings()
    settings.scenario = lg.TestScenario.Server if server else lg.TestScenario.Offline
    settings.mode = lg.TestMode.PerformanceOnly
    settings.use_token_latencies = True
    settings.ttft_latency = 3_000_000_000
    settings.tpot_latency = 80_000_000
    settings.server_target_qps = args.qps
    settings.offline_expected_qps = args.qps
    settings.min_duration_ms = int(args.seconds * 1000)
    settings.min_query_count = 1
    log_output = lg.LogOutputSettings()
    log_output.outdir = args.output
    log_settings = lg.LogSettings()
    log_settings.log_output = log_output
    log_settings.enable_trace = False

    sut = lg.ConstructSUT(issue, lambda: None)
    qsl = lg.ConstructQSL(1024, 1024, lambda _: None, lambda _: None)
    start = time.monotonic()
    lg.StartTestWithLogSettings(sut, qsl, settings, log_settings, os.path.join(args.output, "no-audit.config"))
    elapsed = time.monotonic() - start
    work.put(None)
    thread.join()
    print(json.dumps({"elapsed_s": elapsed}))


if __name__ == "__main__":
    main()
