#!/usr/bin/env python3
"""samples.parquet and pyarrow, both ways. By hand: needs pyarrow.

    tests/by_pyarrow.py make           writes the files that tests/it/golden.rs reads
    tests/by_pyarrow.py check RUN      reads what `cargo run --release -p ossmark-record --example record_cost -- RUN` left
"""
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
TIMES = ["scheduled_ns", "issued_ns", "first_token_ns", "completed_ns"]
SCHEMA = pa.schema(
    [
        pa.field("request", pa.uint64(), nullable=False),
        *(pa.field(name, pa.uint32(), nullable=False) for name in ("sample_index", "prompt_tokens", "output_tokens")),
        *(pa.field(name, pa.int64()) for name in TIMES),
        pa.field("end", pa.string(), nullable=False),
        pa.field("engine", pa.uint16(), nullable=False),
    ]
)
ENDS = ["stop", "length", "failed", "cancelled"]


def make():
    rows = []
    for n in range(1000):
        ns = n * 1_000_003
        first, last = ns + 2_000_000, ns + 90_000_000
        times = [ns if n % 3 else None, ns + 11, None if n % 10 == 9 else first, None if n % 100 == 99 else last]
        rows.append([n, n * 7 % 6396, 50 + n % 100, 2 + n % 900, *times, ENDS[n % 4], n % 8])
    for request, number, time, engine in [
        ((1 << 63) - 1, 0, -(1 << 63), 0),
        (1 << 63, 1 << 31, None, 1 << 15),
        ((1 << 64) - 1, (1 << 32) - 1, (1 << 63) - 1, (1 << 16) - 1),
    ]:
        rows.append([request, number, number, number, *[time] * 4, "stop", engine])
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows), SCHEMA)]
    notes = {"ossmark.record.version": "1", "ossmark.record.lost": "2", "ossmark.record.reason": "by hand"}
    table = pa.table(columns, schema=SCHEMA.with_metadata(notes))
    pq.write_table(table, HERE / "samples.pyarrow.parquet", compression="zstd", row_group_size=400)
    pq.write_table(table.replace_schema_metadata(None), HERE / "other.pyarrow.parquet", compression="snappy")


def check(run):
    file = pq.ParquetFile(run / "samples.parquet")
    found = file.schema_arrow
    assert found.remove_metadata().equals(SCHEMA), f"{found}\n{SCHEMA}"
    notes = {key.decode(): value.decode() for key, value in file.metadata.metadata.items() if key.startswith(b"ossmark")}
    assert notes == {"ossmark.record.version": "1", "ossmark.record.lost": "0"}, notes
    codecs = {file.metadata.row_group(0).column(at).compression for at in range(len(SCHEMA))}
    assert codecs == {"ZSTD"}, codecs
    columns = file.read().to_pydict()
    # The example's formula.
    count = len(columns["request"])
    for n in range(count):
        ns = n * 50_000
        first, last = (n * factor % 2_000_000_011 for factor in (2_654_435_761, 40_503))
        times = [ns if n % 2 else None, ns + 100, ns + first, ns + 20_000_000_000 + last]
        expected = [n, n % 6396, 500 + n * 17 % 2003, 1000 + n * 31 % 997, *times, ENDS[n % 4], n % 8]
        row = [columns[name][n] for name in SCHEMA.names]
        assert row == expected, (row, expected)
    seconds = [json.loads(line) for line in (run / "timeline.jsonl").read_text().splitlines()]
    assert seconds, "no line in the timeline"
    print(f"pyarrow {pa.__version__}: {count} rows as written, {len(seconds)} seconds; {file.metadata.num_row_groups} row groups")


if sys.argv[1:] == ["make"]:
    make()
elif sys.argv[1:2] == ["check"] and len(sys.argv) == 3:
    check(Path(sys.argv[2]))
else:
    sys.exit(__doc__)
