#!/usr/bin/env python3
"""The load generator of `ossmark endpoints run` against an echo that answers at once, beside MLCommons' client on the same server.

    benchmarks/endpoints_load.py [--ossmark target/release/ossmark] [--concurrency 64,512,2048] [--requests 20000]
    ENDPOINTS_SRC=/path/to/mlcommons-endpoints  adds their client (its own virtual environment: ENDPOINTS_PYTHON)

Prints requests/s, the requests under way on average while there was load, and the median time to the first token. Not part of CI: it
says how fast this machine is.
"""

import argparse, json, os, subprocess, sys, tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def serve(ossmark, extra):
    words = [ossmark, "serve", "--engine", "echo", "--tokenizer", str(REPO / "demo"), "--port", "0", "--max-concurrency", "16384", *extra]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = server.stdout.readline().strip()
    return server, line.removeprefix("listening on ")


def ours(ossmark, url, concurrency, passes, directory):
    out = directory / f"ours-{concurrency}"
    words = [ossmark, "endpoints", "run", "--engine", "http", "--endpoint", url, "--points", str(concurrency), "--passes", str(passes),
             "--dataset", str(REPO / "demo/perf.parquet"), "--tokenizer", str(REPO / "demo"), "--output", str(out), "--max-new-tokens", "256"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = out / f"r{concurrency}"
    summary = json.loads((run / "performance/result_summary.json").read_text())
    state = json.loads((out / "rehearsal.json").read_text())["points"][0]
    return summary, state


def theirs(url, concurrency, requests, directory):
    source = os.environ.get("ENDPOINTS_SRC")
    if not source:
        return None
    python = os.environ.get("ENDPOINTS_PYTHON", sys.executable)
    out = directory / f"theirs-{concurrency}"
    config = directory / f"theirs-{concurrency}.yaml"
    config.write_text(f"""name: load
version: '1.0'
type: online
model_params:
  name: demo
  temperature: 1.0
  top_k: -1
  top_p: 1.0
  max_new_tokens: 256
  skip_special_tokens: false
  streaming: 'on'
  tokenizer_name: {REPO / 'demo'}
datasets:
- name: perf
  type: performance
  path: {REPO / 'demo/perf.parquet'}
  parser: {{input_tokens: tok_input}}
settings:
  runtime: {{min_duration_ms: 1000, n_samples_to_issue: {requests}, scheduler_random_seed: 1, dataloader_random_seed: 2}}
  load_pattern: {{type: concurrency, target_concurrency: {concurrency}}}
  client: {{num_workers: 2}}
endpoint_config:
  endpoints: ['{url}']
  api_type: openai_completions
report_dir: {out}
""")
    env = dict(os.environ, PYTHONPATH=str(Path(source) / "src"))
    words = [python, "-m", "inference_endpoint.main", "benchmark", "from-config", "-c", str(config)]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    found = list(out.rglob("result_summary.json"))
    if not found:
        sys.exit(f"MLCommons' client left no summary: {done.stderr[-2000:]}")
    return json.loads(found[0].read_text())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ossmark", default=str(REPO / "target/release/ossmark"))
    parser.add_argument("--concurrency", default="64,512,2048")
    parser.add_argument("--passes", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for concurrency in map(int, args.concurrency.split(",")):
            server, url = serve(args.ossmark, ["--echo-tokens", str(args.tokens)])
            try:
                summary, state = ours(args.ossmark, url, concurrency, args.passes, directory)
                line = (f"C={concurrency}: ours {summary['qps']:.0f} requests/s, {state['mean_under_way_while_issuing']:.2f} under way, "
                        f"TTFT p50 {summary['ttft']['median'] / 1e6:.2f} ms")
                other = theirs(url, concurrency, args.passes * 512, directory)
                if other:
                    line += f"; MLCommons' client {other['qps']:.0f} requests/s: {summary['qps'] / other['qps']:.1f}x"
                print(line, flush=True)
            finally:
                server.terminate()
                server.wait()


if __name__ == "__main__":
    main()
