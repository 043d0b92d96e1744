#!/usr/bin/env python3
"""MLCommons' Endpoints client against `ossmark serve`: its three APIs, each with the demo checkpoint and with the echo engine.

    ENDPOINTS_SRC=/path/to/mlcommons-endpoints ENDPOINTS_PYTHON=/path/to/venv/bin/python benchmarks/endpoints_client.py

ENDPOINTS_SRC is a checkout of the client (not on PyPI), ENDPOINTS_PYTHON has its dependencies; it needs Python 3.12. Prints for each run
what its summary says, and ends with 1 where an answer was malformed or failed, or TTFT, TPOT or output lengths are missing. TPOT with
sglang is not asked for: that adapter hands its aggregator an answer in one piece (docs/endpoints.md). Not part of CI.
"""

import argparse, json, os, re, subprocess, sys, tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
DEMO = REPO / "demo"
APIS = ["openai_completions", "openai", "sglang"]


def serve(ossmark, words):
    words = [ossmark, "serve", "--port", "0", *map(str, words)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return server, server.stdout.readline().strip().removeprefix("listening on ")


def official(url, api, concurrency, requests, directory, max_new_tokens=256):
    """A run of MLCommons' client; its summary, and what it said."""
    config = directory.with_suffix(".yaml")
    prompt = "{prompt: question}" if api == "openai" else "{input_tokens: tok_input}"
    skip = "  skip_special_tokens: false\n" if api == "openai_completions" else ""
    config.write_text(f"""name: run
version: '1.0'
type: online
model_params:
  name: demo
  temperature: 1.0
  top_k: -1
  top_p: 1.0
  max_new_tokens: {max_new_tokens}
{skip}  streaming: 'on'
  tokenizer_name: {DEMO}
datasets:
- name: perf
  type: performance
  path: {DEMO / 'perf.parquet'}
  parser: {prompt}
settings:
  runtime: {{min_duration_ms: 1000, n_samples_to_issue: {requests}, scheduler_random_seed: 1, dataloader_random_seed: 2}}
  load_pattern: {{type: concurrency, target_concurrency: {concurrency}}}
  client: {{num_workers: 2, worker_initialization_timeout: 300}}
endpoint_config:
  endpoints: ['{url}']
  api_type: {api}
report_dir: {directory}
""")
    path = [str(Path(os.environ["ENDPOINTS_SRC"]) / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path))
    python = os.environ.get("ENDPOINTS_PYTHON", sys.executable)
    words = [python, "-m", "inference_endpoint.main", "benchmark", "from-config", "-c", str(config)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=600)
    said = done.stdout + done.stderr
    found = list(directory.rglob("result_summary.json"))
    if not found:
        sys.exit(f"MLCommons' client left no summary: {said[-3000:]}")
    return json.loads(found[0].read_text()), said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ossmark", default=str(REPO / "target/release/ossmark"))
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--api", nargs="*", default=APIS)
    args = parser.parse_args()
    is_good = True
    with tempfile.TemporaryDirectory() as name:
        for engine in ("cpu", "echo"):
            for api in args.api:
                words = {"cpu": ["--engine", "cpu", "--model", DEMO],
                         "echo": ["--engine", "echo", "--tokenizer", DEMO, "--echo-tokens", "24", "--echo-ttft-ms", "5", "--echo-tpot-ms", "1"]}[engine]
                words = words + (["--finish-reason-object"] if api == "sglang" else [])
                server, url = serve(args.ossmark, words)
                try:
                    summary, said = official(url, api, args.concurrency, args.requests, Path(name) / f"{engine}-{api}")
                finally:
                    server.terminate()
                    server.wait()
                malformed = len(re.findall("malformed|validationerror|decodeerror|chat-template baseline", said, re.IGNORECASE))
                counts = [summary[f"n_samples_{what}"] for what in ("issued", "completed", "failed")]
                has = {what: bool(summary[block].get("total")) for what, block in
                       (("TTFT", "ttft"), ("TPOT", "tpot"), ("OSL", "output_sequence_lengths"))}
                reasons = {reason: n for reason, n in summary["finish_reason_counts"].items() if n}
                osl = summary["output_sequence_lengths"].get("avg")
                print(f"{engine} {api}: issued/completed/failed {counts}, malformed {malformed}, {has}, OSL {osl}, {reasons}", flush=True)
                wanted = has["TTFT"] and has["OSL"] and (has["TPOT"] or api == "sglang")
                is_good &= not malformed and counts == [args.requests, args.requests, 0] and wanted
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
