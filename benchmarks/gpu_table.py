#!/usr/bin/env python3
"""One table of what `.ci/gpu time` left in a folder: gpu_table.py FOLDER.

Each operation's time, what it moved and computed, its share of the ceiling (the time that the measured copy or the measured
bf16 product would take for its bytes or operations, whichever is longer, over its own), and the peers that did the same work
(`ratio`: theirs over ours). Then the engine's tokens per second, a column for each way to run it. Files that are not there
are said to be missing; nothing is filled in.
"""

import json
import os
import sys


def read(folder, name):
    """A file of the folder, or nothing and a word on it."""
    path = os.path.join(folder, name)
    try:
        with open(path) as f:
            return json.load(f)
    except (OSError, ValueError) as e:
        print(f"missing: {name}: {e}")
        return {}


def plain_shape(shape):
    """`8 rows, 27 experts` is the peers' `8 rows`: theirs touch as many, give or take."""
    return shape.split(", ")[0]


def operations(ours, ceilings):
    copy, product = ceilings.get("copy_gbs"), ceilings.get("bf16_tflops")
    peers = {}
    for row in ceilings.get("peers_us", []) + ceilings.get("not_had", []):
        peers.setdefault((row["op"], row["shape"]), []).append(row)
    head = f"{'operation':<22} {'shape':<24} {'us':>9} {'GB/s':>6} {'TFLOP/s':>7} {'% ceil':>6}"
    print(f"{head}  {'peer':<23} {'us':>9} {'ratio':>6}")
    marks = []
    for t in ours.get("timings", []):
        if t["kernels"] != "best":
            continue
        us = t["ms"] and t["ms"] * 1e3
        line = f"{t['op']:<22} {t['shape']:<24} "
        if us is None:
            line += f"WRONG by {t['relative_error'] or float('nan'):.1e}".ljust(31)
        else:
            share = "-"
            if copy and product:
                share = f"{100 * max(t['bytes'] / copy, t['flops'] / product / 1e3) / us / 1e3:.0f}"
            line += f"{us:>9.1f} {t['bytes'] / us / 1e3:>6.0f} {t['flops'] / us / 1e6:>7.1f} {share:>6}"
        found = peers.get((t["op"], plain_shape(t["shape"])), [])
        for row in found or [None]:
            if row is None:
                print(line.rstrip())
            elif "us" not in row:
                print(f"{line}  {row['peer']:<23} not had: {row['why'][:40]}")
            else:
                mark = ""
                if "differs" in row:
                    if row["differs"] not in marks:
                        marks.append(row["differs"])
                    mark = " " + "*" * (marks.index(row["differs"]) + 1)
                ratio = f"{row['us'] / us:.2f}" if us else "-"
                print(f"{line}  {row['peer']:<23} {row['us']:>9.1f} {ratio:>6}{mark}")
            line = " " * len(line)
    for i, differs in enumerate(marks):
        print(f"{'*' * (i + 1)} {differs}")


def engine(report):
    ways = report.get("ways", [])
    if not ways:
        return
    print(f"\n{ways[0]['model']}")

    def name(way):
        switches = [k for k, v in way.items() if v is True]
        return "+".join([way["kv_dtype"], *switches])

    width = max(12, *(len(name(w)) for w in ways))
    print(f"{'tokens/s':<44}" + "".join(f" {name(w):>{width}}" for w in ways))
    works = list(dict.fromkeys(f["work"] for w in ways for f in w["figures"]))
    for work in works:
        line = f"{work:<44}"
        for way in ways:
            rate = [f["tokens_per_s"] for f in way["figures"] if f["work"] == work]
            line += f" {rate[0]:>{width},.1f}" if rate else f" {'-':>{width}}"
        print(line)
    for warning in dict.fromkeys(x for w in ways for x in w["warnings"]):
        print(f"warning: {warning}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    ceilings = read(folder, "ceilings.json")
    if "device" in ceilings:
        print(
            f"{ceilings['device']}, torch {ceilings['torch']}: copy {ceilings['copy_gbs']:.0f} GB/s, "
            f"bf16 product {ceilings['bf16_tflops']:.0f} TFLOP/s"
        )
    operations(read(folder, "bench-kernels.json"), ceilings)
    engine(read(folder, "bench-engine.json"))


if __name__ == "__main__":
    main()
