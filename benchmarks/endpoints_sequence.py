#!/usr/bin/env python3
"""A rehearsal of MLPerf Endpoints from the server to MLCommons' own checker: serve, run, build, check, report.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install endpoints-submission-cli mlperf-viz
    benchmarks/endpoints_sequence.py --ossmark target/release/ossmark --official /tmp/venv/bin --output out/endpoints

The demo checkpoint answers over HTTP; seven points and a dedicated Offline run over the first rows of the demo's data set, and
accuracy runs, all shortened. Ends with 0 when MLCommons' checker finds nothing that our own check does not name, and mlperf-viz
exports our points. Every step is a command that may be typed by hand; each is printed.
"""

import argparse, json, shlex, subprocess, sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
DEMO = REPO / "demo"
POINTS = [1, 4, 8, 16, 32, 48, 64]
# What a curve of the demo's data set cannot have: whole passes over 6396 rows, 20 minutes a point, 4395 accuracy samples.
SHORTENING = {"min-query-count", "point-passes-not-whole", "point-duration", "steady-state-basis", "accuracy-sample-count"}


def run(words, ok=(0,)):
    print("$", shlex.join(map(str, words)), flush=True)
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    print(done.stdout[-6000:] + done.stderr[-3000:], flush=True)
    if done.returncode not in ok:
        sys.exit(f"ended with {done.returncode}, expected one of {ok}")
    return done


def rules(findings):
    return {(f["rule"], f["severity"]) for f in findings if f["severity"] != "info"}


def description(output, points):
    head = (REPO / "submission/endpoints.toml").read_text().split("[[point]]")[0]
    head = head.replace("max_supported_concurrency = 512", f"max_supported_concurrency = {max(POINTS)}")
    head = head.replace('directory = "8xH200"', 'directory = "demo"')
    text = head + "".join(f'[[point]]\nrun = "{point}"\n' for point in points)
    (output / "src").mkdir()
    (output / "docs").mkdir()
    (output / "src/README.md").write_text("benchmarks/endpoints_sequence.py\n")
    (output / "docs/software_disclosure.md").write_text("A shortened rehearsal of the demo checkpoint.\n")
    (output / "curve.toml").write_text(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ossmark", default=str(REPO / "target/release/ossmark"))
    parser.add_argument("--official", type=Path, help="the folder of endpoints-submission-cli and mlperf-viz")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--passes", type=int, default=5)
    args = parser.parse_args()
    args.output.mkdir(parents=True)
    ossmark = args.ossmark
    words = [ossmark, "serve", "--model", DEMO, "--engine", "cpu", "--port", "0"]
    print("$", shlex.join(map(str, words)))
    server = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = server.stdout.readline().strip().removeprefix("listening on ")
        run([ossmark, "endpoints", "run", "--engine", "http", "--endpoint", url, "--tokenizer", DEMO, "--dataset", DEMO / "perf.parquet",
             "--points", ",".join(map(str, POINTS)), "--dedicated-offline", "--rows", args.rows, "--passes", args.passes,
             "--max-new-tokens", "256", "--accuracy-dataset", DEMO / "accuracy.parquet", "--lcb-problems", DEMO / "lcb_problems.jsonl",
             "--accuracy-max-new-tokens", "256", "--output", args.output / "curve"])
    finally:
        server.terminate()
        server.wait()
    names = [f"curve/r{c}" for c in POINTS] + [f"curve/r{args.rows}"]
    description(args.output, names)
    run([ossmark, "endpoints", "build", "--rehearsal", "--description", args.output / "curve.toml", "--tokenizer", DEMO, "--output", args.output / "tree"], ok=(0, 1))
    tree = args.output / "tree/Org"
    run([ossmark, "endpoints", "check", tree, "--json", args.output / "ours.json"], ok=(0, 1))
    run([ossmark, "endpoints", "check", tree, "--official-only", "--json", args.output / "official-only.json"], ok=(0, 1))
    run([ossmark, "endpoints", "report", tree, "--output", args.output / "curve.html", "--json", args.output / "curve.json"])
    ours = rules(json.loads((args.output / "ours.json").read_text())["findings"])
    unexplained = {rule for rule, severity in ours if severity == "error"} - SHORTENING
    print("errors of our check that the shortening does not explain:", sorted(unexplained))
    if args.official is None:
        sys.exit(1 if unexplained else 0)
    run([args.official / "endpoints-submission-cli", "check-submission", tree, "-o", args.output / "theirs.json", "-q"], ok=(0, 1))
    theirs = rules(json.loads((args.output / "theirs.json").read_text())["results"])
    print("found by MLCommons' checker:", sorted(theirs))
    unnamed = theirs - ours
    print("not named by our own check:", sorted(unnamed))
    run([args.official / "mlperf-viz", tree, "--export", args.output / "viz.json"])
    exported = json.loads((args.output / "viz.json").read_text())
    print(len(exported["runs"]), "runs exported of", len(names))
    is_good = not unexplained and not unnamed and len(exported["runs"]) == len(names)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
