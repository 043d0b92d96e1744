#!/usr/bin/env python3
"""ossmark with the programs that its users have: servers behind `--engine http`, clients before `ossmark serve`.

    python3 benchmarks/real_peers.py --ossmark target/release/ossmark [--work DIR] [--keep] [--record DIR] [PEER ...]

Each peer gets a virtual environment with pinned packages from PyPI, is started on 127.0.0.1, used, stopped by its process id,
and gives lines of a table. The environments are removed afterwards (--keep leaves them). No GPU is needed. Not in .ci/run: some
of these are gigabytes. What is here was written against the versions that are pinned; what cannot be installed is said.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import real_peers_vllm
from recorder import Recorder

REPOSITORY = Path(__file__).resolve().parent.parent
DEMO = REPOSITORY / "demo"


class Bench:
    """What the sections share: where things are, and what was found."""

    def __init__(self, arguments):
        self.ossmark = Path(arguments.ossmark).resolve()
        self.work = Path(arguments.work).resolve()
        self.keep = arguments.keep
        self.record = arguments.record and Path(arguments.record).resolve()
        self.rows = []

    def row(self, peer, what, result, good):
        self.rows.append((peer, what, result, good))
        print(f"{'ok  ' if good else 'BAD '} {peer}: {what}: {result}", flush=True)

    @contextlib.contextmanager
    def environment(self, name, *packages, without_dependencies=(), interpreter=sys.executable):
        """A virtual environment; its python."""
        directory = self.work / name
        python = directory / "bin" / "python"
        if not python.exists():
            subprocess.run([interpreter, "-m", "venv", directory], check=True)
            pip = [python, "-m", "pip", "install", "--quiet"]
            if without_dependencies:
                subprocess.run([*pip, "--no-deps", *without_dependencies], check=True)
            if packages:
                subprocess.run([*pip, *packages], check=True)
        try:
            yield python
        finally:
            if not self.keep:
                shutil.rmtree(directory, ignore_errors=True)

    @contextlib.contextmanager
    def process(self, command, log, **environment):
        """A program in the background, stopped by its process id."""
        with open(self.work / log, "w") as out:
            child = subprocess.Popen(
                [str(part) for part in command], stdout=out, stderr=out, env={**os.environ, **environment}
            )
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()

    @contextlib.contextmanager
    def serve(self, client, *options):
        """`ossmark serve` on the demo checkpoint, or as told; its URL. What comes is kept as the client's, with --record."""
        port = free_port()
        options = options or ("--engine", "cpu", "--model", DEMO)
        with self.process([self.ossmark, "serve", "--port", port, *options], "serve.log"):
            url = f"http://127.0.0.1:{port}"
            wait_for(url + "/health")
            if not self.record:
                yield url
                return
            recorder = Recorder(port)
            yield recorder.url
            self.record.mkdir(parents=True, exist_ok=True)
            recorder.write(self.record / f"{client}.jsonl")

    def infer(self, url, *options, new_tokens=16):
        """Every prompt of the demo through a server; what infer reports."""
        ended = subprocess.run(self.infer_command(url, options, new_tokens), capture_output=True, text=True)
        done = self.work / "infer" / "done.json"
        report = json.loads(done.read_text()) if done.exists() else {}
        return ended, report

    def start_infer(self, url, *options, new_tokens=16):
        """The same, in the background."""
        log = open(self.work / "infer.log", "w")
        return subprocess.Popen(self.infer_command(url, options, new_tokens), stdout=log, stderr=log)

    def infer_command(self, url, options, new_tokens):
        directory = self.work / "infer"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        command = [
            self.ossmark, "infer", "--engine", "http", "--endpoint", url, "--dataset", DEMO / "perf.parquet", "--tokenizer", DEMO,
            "--output", directory / "out.parquet", "--json", directory / "done.json", "--max-new-tokens", str(new_tokens), *options,
        ]
        return [str(part) for part in command]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def wait_for(url, text="", seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if text in get(url):
                return
        time.sleep(0.3)
    raise TimeoutError(f"{url} did not answer with {text!r} within {seconds} s")


def metric(url, name):
    for line in get(url + "/metrics").splitlines():
        if line.split("{")[0].split(" ")[0] == name:
            return float(line.rsplit(" ", 1)[1])
    raise KeyError(name)


def demo_with_template(directory):
    """The demo's files with the chat template that some servers insist on."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in DEMO.glob("*.json"):
        shutil.copy(file, directory)
    settings = directory / "tokenizer_config.json"
    config = json.loads(settings.read_text())
    config["chat_template"] = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    settings.write_text(json.dumps(config))
    return directory


def run(command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


# Servers behind --engine http.


def dynamo(bench):
    """Dynamo's front end before its mocker. Its dependency aisimulate is not on PyPI, and is not needed for this."""
    version = "1.6.1"
    packages = ["msgspec", "uvloop", "pydantic<=2.13.5", "transformers", "pyzmq", "aiohttp", "prometheus-client", "numpy", "redis"]
    bare = [f"ai-dynamo=={version}", f"ai-dynamo-runtime=={version}"]
    with bench.environment("dynamo", *packages, "zstandard", "certifi", without_dependencies=bare) as python:
        model = demo_with_template(bench.work / "dynamo-model")
        store = bench.work / "dynamo-store"
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        environment = {
            "DYN_FILE_KV": str(store), "DYN_DISCOVERY_BACKEND": "file", "DYN_REQUEST_PLANE": "tcp", "DYN_EVENT_PLANE": "zmq",
            "DYN_TCP_RPC_HOST": "127.0.0.1", "HF_HUB_OFFLINE": "1",
        }
        port = free_port()
        front = [python, "-m", "dynamo.frontend", "--http-host", "127.0.0.1", "--http-port", port]
        mocker = [python, "-m", "dynamo.mocker", "--model-path", model, "--model-name", "demo", "--speedup-ratio", "100",
                  "--max-model-len", "4096"]
        with bench.process(front, "dynamo.log", **environment), bench.process(mocker, "mocker.log", **environment):
            url = f"http://127.0.0.1:{port}"
            wait_for(url + "/v1/models", '"demo"')
            for stream in ["off", "on"]:
                ended, report = bench.infer(url, "--http-stream", stream)
                good = ended.returncode == 0 and report["answered"] == 512 and "Dynamo" in ended.stderr
                bench.row(f"Dynamo {version}", f"infer, stream {stream}", f"{report.get('answered')} of 512", good)
            ended, _ = bench.infer(url, new_tokens=4096)
            good = ended.returncode == 2 and "max_model_len" in ended.stderr
            bench.row(f"Dynamo {version}", "a context that is too short", f"exit {ended.returncode}", good)


def smg(bench):
    """SMG before ossmark serve: its own probing, then prompts through it."""
    version = "1.13.0"
    with bench.environment("smg", f"smg=={version}") as python, bench.serve(f"smg-{version}") as worker:
        port = free_port()
        gateway = [python.parent / "smg", "launch", "--host", "127.0.0.1", "--port", port, "--worker-urls", worker]
        with bench.process(gateway, "smg.log"):
            url = f"http://127.0.0.1:{port}"
            wait_for(url + "/health")
            ended, report = bench.infer(url, "--api", "sglang")
            good = ended.returncode == 0 and report["answered"] == 512
            bench.row(f"SMG {version}", "infer through it", f"{report.get('answered')} of 512", good)


# Clients before ossmark serve.


def openai(bench):
    """OpenAI's client: models, completions, chat, streamed and whole, stops."""
    version = "3.57.0"
    with bench.environment("openai", f"openai=={version}") as python, bench.serve(f"openai-{version}") as url:
        ended = run([python, REPOSITORY / "benchmarks" / "real_peers_openai.py", url + "/v1"])
        for line in ended.stdout.splitlines():
            what, result = line.split("\t")
            bench.row(f"openai {version}", what, result, result == "ok")
        bench.row(f"openai {version}", "all", ended.stderr.strip()[-200:] or "no error", ended.returncode == 0)


def aiperf(bench):
    """NVIDIA's AIPerf: streamed completions and chat; its count of tokens is the server's."""
    version = "0.13.0"
    with bench.environment("aiperf", f"aiperf=={version}") as python, bench.serve(f"aiperf-{version}") as url:
        for kind in ["completions", "chat"]:
            before = metric(url, "ossmark_generated_tokens_total")
            directory = bench.work / "aiperf-out"
            shutil.rmtree(directory, ignore_errors=True)
            ended = run([
                python.parent / "aiperf", "profile", "--model", "demo", "--url", url, "--endpoint-type", kind, "--streaming",
                "--tokenizer", demo_with_template(bench.work / "aiperf-model"), "--concurrency", "8", "--request-count", "64",
                "--synthetic-input-tokens-mean", "20", "--output-tokens-mean", "16", "--use-server-token-count",
                "--artifact-dir", directory, "--ui", "none",
            ])
            made = metric(url, "ossmark_generated_tokens_total") - before
            found = list(directory.rglob("profile_export_aiperf.json"))
            if ended.returncode or not found:
                bench.row(f"aiperf {version}", kind, (ended.stdout + ended.stderr).strip()[-300:], False)
                continue
            report = json.loads(found[0].read_text())
            counted = report["total_output_tokens"]["avg"] if "total_output_tokens" in report else None
            errors = report.get("error_summary") or []
            result = f"{len(errors)} kinds of errors, {counted} tokens counted, {made:.0f} made"
            bench.row(f"aiperf {version}", kind, result, not errors and counted == made)


def guidellm(bench):
    """GuideLLM: chat at four at a time, which it wants to run to their full length (ignore_eos)."""
    version = "0.8.1"
    with bench.environment("guidellm", f"guidellm=={version}") as python, bench.serve(f"guidellm-{version}") as url:
        output = bench.work / "guidellm.json"
        output.unlink(missing_ok=True)
        ended = run([
            python.parent / "guidellm", "run", "--backend", f"kind=openai_http,target={url}", "--profile", "kind=concurrent,streams=4",
            "--constraint", "kind=max_requests,count=32", "--tokenizer", f"kind=huggingface_auto,model={DEMO}",
            "--data", "kind=synthetic_text,prompt_tokens=20,output_tokens=16", "--output", f"kind=json,path={output}",
            "--disable-console-interactive",
        ])
        if ended.returncode or not output.exists():
            bench.row(f"guidellm {version}", "concurrent", (ended.stdout + ended.stderr).strip()[-300:], False)
            return
        found = json.loads(output.read_text())["benchmarks"][0]["metrics"]
        requests = found["request_totals"]
        counted = found["output_token_count"]["successful"]["total_sum"]
        made = metric(url, "ossmark_generated_tokens_total")
        result = f"{requests['successful']} of {requests['total']} requests, {counted:.0f} tokens counted, {made:.0f} made"
        bench.row(f"guidellm {version}", "concurrent", result, requests["errored"] == 0 and counted == made)


LM_EVAL_TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{question}}}}"
doc_to_target: "{target}"
{more}
"""


def lm_eval(bench):
    """EleutherAI's lm-eval: a task of log-likelihoods (echo, logprobs) and one of generation (stop), on a few questions."""
    version = "0.4.13"
    with bench.environment("lm-eval", f"lm-eval[api]=={version}", "transformers") as python, bench.serve(f"lm-eval-{version}") as url:
        tasks = bench.work / "lm-eval-tasks"
        shutil.rmtree(tasks, ignore_errors=True)
        tasks.mkdir()
        data = tasks / "questions.json"
        data.write_text("\n".join(json.dumps({"question": f"{a} + 2 =", "answer": str(a + 2)}) for a in range(8)))
        kinds = {
            "multiple_choice": ("0", "doc_to_choice: ['2', '3', '4']"),
            "generate_until": ("{{answer}}", "generation_kwargs: {until: [\"\\n\", \"+\"], max_gen_toks: 8}"),
        }
        for kind, (target, more) in kinds.items():
            name = f"demo_{kind}"
            text = LM_EVAL_TASK.format(name=name, data=data, kind=kind, target=target, more=more)
            (tasks / f"{name}.yaml").write_text(text)
            settings = f"model=demo,base_url={url}/v1/completions,tokenizer={DEMO},tokenized_requests=True,num_concurrent=2"
            ended = run([
                python.parent / "lm_eval", "--model", "local-completions", "--model_args", settings, "--include_path", tasks,
                "--tasks", name, "--output_path", bench.work / "lm-eval-out",
            ], env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"})
            result = "8 documents" if ended.returncode == 0 else ended.stderr.strip()[-300:]
            bench.row(f"lm-eval {version}", kind, result, ended.returncode == 0)


ENDPOINTS = """
name: demo
version: '1.0'
type: online
model_params: {{name: demo, temperature: 1.0, top_k: -1, top_p: 1.0, max_new_tokens: 16, streaming: '{stream}', tokenizer_name: {demo}}}
datasets:
- {{name: perf, type: performance, path: {data}, parser: {{input_tokens: tok_input}}}}
settings:
  runtime: {{min_duration_ms: 0, n_samples_to_issue: 128}}
  load_pattern: {{type: concurrency, target_concurrency: 16}}
  client: {{num_workers: 1}}
endpoint_config: {{endpoints: ['{url}'], api_type: sglang}}
report_dir: {report}
enable_cpu_affinity: false
"""


def endpoints(bench):
    """MLCommons' Endpoints client, which is not on PyPI: from a checkout that ENDPOINTS_SRC names, with Python 3.12."""
    source = os.environ.get("ENDPOINTS_SRC")
    if not source:
        bench.row("Endpoints client", "not tried", "ENDPOINTS_SRC names no checkout of mlcommons/endpoints", False)
        return
    version = run(["git", "-C", source, "rev-parse", "--short=8", "HEAD"]).stdout.strip()
    peer = f"Endpoints client {version}"
    interpreter = os.environ.get("ENDPOINTS_PYTHON", "python3.12")
    with bench.environment("endpoints", source, interpreter=interpreter) as python, bench.serve(f"endpoints-{version}") as url:
        for stream in ["off", "on"]:
            report = bench.work / "endpoints-out"
            shutil.rmtree(report, ignore_errors=True)
            before = metric(url, "ossmark_generated_tokens_total")
            config = bench.work / "endpoints.yaml"
            config.write_text(ENDPOINTS.format(stream=stream, demo=DEMO, data=DEMO / "perf.parquet", url=url, report=report))
            ended = run([python.parent / "inference-endpoint", "benchmark", "from-config", "-c", config])
            made = metric(url, "ossmark_generated_tokens_total") - before
            found = list(report.rglob("result_summary.json"))
            if ended.returncode or not found:
                bench.row(peer, f"stream {stream}", (ended.stdout + ended.stderr).strip()[-300:], False)
                continue
            summary = json.loads(found[0].read_text())
            completed, failed = summary["n_samples_completed"], summary["n_samples_failed"]
            # It counts tokens by tokenising texts again, which is another number.
            text = f"{completed} of 128, {failed} failed, {made:.0f} tokens made"
            bench.row(peer, f"stream {stream}", text, completed == 128 and failed == 0 and made == 128 * 16)


def vllm(bench):
    real_peers_vllm.server(bench, DEMO, free_port, wait_for, get)


def vllm_bench(bench):
    real_peers_vllm.client(bench, DEMO, metric)


PEERS = {
    "dynamo": dynamo, "smg": smg, "vllm": vllm, "openai": openai, "aiperf": aiperf, "guidellm": guidellm, "lm-eval": lm_eval,
    "vllm-bench": vllm_bench, "endpoints": endpoints,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ossmark", default=REPOSITORY / "target" / "release" / "ossmark")
    parser.add_argument("--work", default="/tmp/ossmark-real-peers")
    parser.add_argument("--keep", action="store_true", help="leave the environments for the next call")
    parser.add_argument("--record", metavar="DIR", help="keep one request of each kind that a client sent")
    parser.add_argument("peer", nargs="*", help=f"of {', '.join(PEERS)}; all by default")
    arguments = parser.parse_args()
    unknown = [peer for peer in arguments.peer if peer not in PEERS]
    if unknown:
        parser.error(f"no peer {unknown[0]}; there are {', '.join(PEERS)}")
    bench = Bench(arguments)
    bench.work.mkdir(parents=True, exist_ok=True)
    for name in arguments.peer or PEERS:
        try:
            PEERS[name](bench)
        except (subprocess.CalledProcessError, OSError, KeyError) as error:
            bench.row(name, "could not be tried", repr(error)[:300], False)
    print("\n| peer | what | result |\n|---|---|---|")
    for peer, what, result, good in bench.rows:
        print(f"| {peer} | {what} | {'' if good else 'NOT GOOD: '}{result} |")
    return 0 if all(good for *_, good in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
