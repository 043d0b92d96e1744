"""Runs and judges LiveCodeBench candidates for ossmark. Started by `ossmark confine` as
`python3 -I -B -c <common + judge + candidate + layers + main> worker|judge <setup>`; never imported.

worker: stays warm (prelude modules and numpy imported) and forks one process per candidate into fresh PID and mount namespaces.
        A candidate's process reads its program and test inputs from a socket of its own, which only the scorer holds the
        other end of, and sends back what the program printed or returned. It never holds an expected output, except
        where equality is decided by the program's own class (message Q), as in the reference.
judge:  another process, which runs no candidate; it compares.

Behaviour follows the project's specification of the reference's grading (paragraph numbers in the comments).
"""
import ast
import builtins
import faulthandler
import gc
import io
import json
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import types
from decimal import Decimal
from fractions import Fraction

# What candidates find warm; the same modules that the prelude names (5).
import bisect, collections, copy, datetime, functools, heapq, itertools, math, operator, random, re, statistics, string  # noqa
import threading, time, typing  # noqa

try:
    import numpy
    NO_NUMPY = ""
except Exception as error:
    numpy, NO_NUMPY = None, repr(error)
try:
    import ctypes
    LIBC, NO_LIBC = ctypes.CDLL(None, use_errno=True), ""
except Exception as error:
    LIBC, NO_LIBC = None, f"this Python's ctypes: {error!r}"

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(50000)  # (4)

STARRED = ("string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json "
           "builtins typing").split()
PRELUDE = ("".join(f"from {name} import *\n" for name in STARRED) + "".join(f"import {name}\n" for name in STARRED[:16])
           + "sys.setrecursionlimit(50000)\n")
NONE_TO_UNPACK = "cannot unpack non-iterable NoneType object"


# ---------------------------------------------------------------- frames: u32 length, bytes

def read_exactly(fd, size):
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def receive(fd):
    return read_exactly(fd, struct.unpack("<I", read_exactly(fd, 4))[0])


def send(fd, payload, write=os.write):
    data = memoryview(struct.pack("<I", len(payload)) + payload)
    while data:
        data = data[write(fd, data):]


def short(text, limit=300):
    """For a message: not too long, and without the lone surrogates that a Python string may hold."""
    text = text if len(text) <= limit else text[:limit // 2] + " … " + text[-limit // 2:]
    return text.encode("utf-8", "replace").decode()


# ---------------------------------------------------------------- values of call-based problems, as plain data

class Opaque(Exception):
    """A value whose equality plain data cannot carry."""


def encode(value):
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -2**53 < value < 2**53 else ["i", format(value, "x")]
    if kind is float:
        return ["f", value.hex()]
    if kind is list or kind is tuple:
        return ["l" if kind is list else "t", [encode(v) for v in value]]
    if kind in (dict, collections.defaultdict, collections.OrderedDict, collections.Counter):
        return ["d", [[encode(k), encode(v)] for k, v in value.items()]]
    if kind is Decimal:
        return ["D", str(value)]
    if kind is Fraction:
        return ["F", format(value.numerator, "x"), format(value.denominator, "x")]
    if kind is complex:
        return ["c", value.real.hex(), value.imag.hex()]
    if numpy is not None and (kind is numpy.ndarray or isinstance(value, numpy.generic)) and value.dtype.kind in "biufc":
        shape = list(value.shape) if kind is numpy.ndarray else None
        return ["n", value.dtype.str, shape, value.tobytes().hex()]
    raise Opaque


def decode(value):
    if type(value) is not list:
        return value
    tag, *rest = value
    if tag == "i":
        return int(rest[0], 16)
    if tag == "f":
        return float.fromhex(rest[0])
    if tag == "l" or tag == "t":
        items = [decode(v) for v in rest[0]]
        return items if tag == "l" else tuple(items)
    if tag == "d":
        return {decode(k): decode(v) for k, v in rest[0]}
    if tag == "D":
        return Decimal(rest[0])
    if tag == "F":
        return Fraction(int(rest[0], 16), int(rest[1], 16))
    if tag == "c":
        return complex(float.fromhex(rest[0]), float.fromhex(rest[1]))
    if tag == "n":
        array = numpy.frombuffer(bytes.fromhex(rest[2]), dtype=rest[0])
        return array[0] if rest[1] is None else array.reshape(rest[1])
    raise ValueError(tag)


def first_item(value):
    """What the reference's result list shows for an entry."""
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            value = value.item(0)
        if isinstance(value, numpy.bool_):
            value = bool(value)
    return value


def equal(value, expected):
    """(7.4) What comparing appends to the result list, and the message if that ends the tests."""
    entries = []
    try:
        if isinstance(value, tuple):
            value = list(value)
        same = value == expected
        entries.append(same)
        if same:
            return entries, None
        str(value)  # the reference prints it, and an int of more than 50000 digits raises
        return entries, "Wrong Answer"
    except Exception as error:
        return entries + [-4], short(repr(error))
