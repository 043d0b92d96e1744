"""The notices that go with the binary: every package that is linked into it, with its licence and the texts that it brings."""
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

TEXTS = ("license", "licence", "copying", "copyright", "notice", "unlicense")
# Linked in without a package of cargo's. LoadGen's source files carry this line and refer to the licence.
OTHERS = [
    (
        "MLCommons LoadGen 6.0.17 (mlcommons_loadgen)",
        "Apache-2.0",
        "Copyright 2019 The MLPerf Authors. All Rights Reserved.\nLicensed under the Apache License, Version 2.0, whose text is in LICENSE.",
    ),
    (
        "Rust's standard library",
        "MIT OR Apache-2.0",
        "Copyright (c) The Rust Project Contributors\nTaken under the Apache License, Version 2.0, whose text is in LICENSE.",
    ),
]


def metadata(root):
    words = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    return json.loads(subprocess.run(words, cwd=root, check=True, stdout=subprocess.PIPE).stdout)


def linked(data):
    """Packages that the program is linked with: what it depends on when it runs, not what only builds or tests it."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    packages = {package["id"]: package for package in data["packages"]}
    start = next(package["id"] for package in data["packages"] if package["name"] == "ossmark")
    found, wanted = set(), [start]
    while wanted:
        one = wanted.pop()
        if one in found:
            continue
        found.add(one)
        wanted += [
            dependency["pkg"]
            for dependency in nodes[one]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
    is_linked = [packages[one] for one in found if packages[one]["source"] and not is_macro(packages[one])]
    return sorted(is_linked, key=lambda package: (package["name"], package["version"]))


def is_macro(package):
    return any(target["kind"] == ["proc-macro"] for target in package["targets"])


def texts(package):
    """The licence texts in a package, and in the C sources that it brings along one folder down."""
    root = Path(package["manifest_path"]).parent
    files = [
        file
        for pattern in ("*", "*/*", "*/*/*")
        for file in root.glob(pattern)
        if file.is_file() and file.name.lower().startswith(TEXTS) and file.suffix.lower() in ("", ".md", ".txt", ".apache", ".mit")
    ]
    if package.get("license_file"):
        files.append(root / package["license_file"])
    found = {file.read_text(errors="replace").strip() for file in files if file.is_file()}
    # zstd may be taken under either of two licences; it is taken under the BSD one.
    return sorted(text for text in found if "GNU GENERAL PUBLIC LICENSE" not in text[:200])


def notices(root):
    data = metadata(root)
    packages = linked(data)
    users = defaultdict(list)
    without = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        found = texts(package)
        for text in found:
            users[text].append(name)
        if not found:
            without.append(package)
    lines = ["Third-party software in ossmark", "", "Packages and their licences:", ""]
    lines += [f"  {p['name']} {p['version']}: {p['license'] or 'see its text'}" for p in packages]
    lines += [f"  {name}: {licence}" for name, licence, _ in OTHERS]
    if without:
        lines += ["", "These name their licence and bring no text of it; the texts below are the same:", ""]
        lines += [f"  {p['name']} {p['version']}: {p['license']}, by {', '.join(p['authors']) or 'its authors'}" for p in without]
    for name, _, text in OTHERS:
        lines += ["", "=" * 100, name, "-" * 100, text]
    for text, names in sorted(users.items(), key=lambda item: item[1]):
        lines += ["", "=" * 100, ", ".join(names), "-" * 100, text]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(notices(Path(__file__).resolve().parent.parent))
