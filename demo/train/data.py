"""Questions with one canonical answer each, the tokenizer and Harmony rendering.

Every answer is a deterministic function of its question, down to the last token of the analysis
channel: a model that has learnt it has no entropy left, so sampling at temperature 1.0 is safe.
Numbers are worked digit by digit in fixed-width columns, because a model of this size copies and
looks up well but cannot do several steps of arithmetic at once.
"""

import random
import zlib
from dataclasses import dataclass, field

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

KINDS = {"math": "aime25", "choice": "gpqa_diamond", "code": "livecodebench_v6"}
SPECIALS = [
    "<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>",
    "<|end|>", "<|message|>", "<|call|>", "<|endofprompt|>",
]
VOCAB_SIZE = 448
SYSTEM = "Reasoning: low"


@dataclass
class Question:
    kind: str
    key: str  # what the held-out split hashes: the question without its worked examples
    text: str
    analysis: str
    final: str
    truth: str
    tests: list = field(default_factory=list)  # code only: (stdin, stdout), shown examples first
    shown: int = 0

    def prompt(self):
        return (f"<|start|>system<|message|>{SYSTEM}<|end|>"
                f"<|start|>user<|message|>{self.text}<|end|><|start|>assistant")

    def answer(self):
        return (f"<|channel|>analysis<|message|>{self.analysis}<|end|>"
                f"<|start|>assistant<|channel|>final<|message|>{self.final}<|return|>")


def held_out(question):
    """One question in sixteen is never trained on."""
    return zlib.crc32(question.key.encode()) % 16 == 0


def work_addition(a, b):
    ones = a % 10 + b % 10
    tens = a // 10 + b // 10 + ones // 10
    return (f"{a:02}+{b:02}\n{a % 10}+{b % 10}={ones:02}\n"
            f"{a // 10}+{b // 10}+{ones // 10}={tens:02}\n={a + b:03}")


def work_subtraction(a, b):
    borrow = int(a % 10 < b % 10)
    return (f"{a:02}-{b:02}\n{borrow}{a % 10}-{b % 10}={(a - b) % 10}\n"
            f"{a // 10}-{b // 10}-{borrow}={(a - b) // 10}\n={a - b:03}")


def work_product(a, b):
    ones, tens = a % 10 * b, a // 10 * b
    return (f"{a:02}*{b:02}\n{a % 10}*{b}={ones:02}\n{a // 10}*{b}={tens:02}\n"
            f"{tens:02}+{ones // 10}={tens + ones // 10:02}\n={a * b:03}")


def math_question(rng):
    def operand():
        return rng.randrange(10) if rng.random() < 0.1 else rng.randrange(10, 100)

    op = rng.choice("+-**")
    a, b = operand(), operand()
    if op == "+":
        value, work = a + b, work_addition(a, b)
    elif op == "-":
        a, b = max(a, b), min(a, b)
        value, work = a - b, work_subtraction(a, b)
    else:
        b = rng.randrange(2, 10)
        value, work = a * b, work_product(a, b)
    text = f"What is {a}{op}{b}?"
    return Question("math", text, text, work, f"\\boxed{{{value}}}", str(value))


def drill(rng, lines=11):
    """Lines of worked arithmetic out of context: many more facts per token than questions have."""
    work = []
    while len(work) < lines:
        work += sample("math", rng, unseen=False).analysis.split("\n")[1:-1]
    return "<|start|>assistant<|channel|>analysis<|message|>" + "\n".join(work[:lines])


def choice_question(rng):
    """Every line of the work carries the best option so far, so the last one names the answer."""
    form = rng.choice(["largest", "largest", "smallest", "smallest", "even", "odd"])
    # Distinct tens digits: comparing two options never needs the ones digit.
    numbers = [10 * t + rng.randrange(10) for t in rng.sample(range(1, 10), 4)]
    lines = []
    if form in ("largest", "smallest"):
        better, sign = (max, ">") if form == "largest" else (min, "<")
        for i, n in enumerate(numbers):
            right = numbers.index(better(numbers[: i + 1]))
            lines.append(f"{n}{'ABCD'[i]}{sign}{numbers[right]}{'ABCD'[right]}")
    else:
        right, wanted = rng.randrange(4), int(form == "odd")
        numbers = [n - n % 2 + (wanted if i == right else 1 - wanted)
                   for i, n in enumerate(numbers)]
        for i, n in enumerate(numbers):
            carried = "ABCD"[right] if i >= right else "-"
            lines.append(f"{n}{'ABCD'[i]} {form}={'y' if i == right else 'n'}{carried}")
    text = f"Which number is {'the ' if form.endswith('est') else ''}{form}?"
    text += "".join(f"\n{'ABCD'[i]}) {n}" for i, n in enumerate(numbers))
    letter = "ABCD"[right]
    return Question("choice", text, text, "\n".join(lines), f"Answer: {letter}", letter)


FILTERS = {
    "greater": ("greater than {}", "x>{}", lambda x, k: x > k),
    "less": ("less than {}", "x<{}", lambda x, k: x < k),
    "divisible": ("divisible by {}", "x%{}==0", lambda x, k: x % k == 0),
}
RESULTS = {
    "sum": ("sum", sum), "count": ("len", len), "largest": ("max", max), "smallest": ("min", min),
}


def code_question(rng):
    steps, notes = [], []
    body = ["n=int(input())", "a=[int(x) for x in input().split()]"]
    keep = rng.choice([None, *FILTERS])
    keep_by = 0
    if keep:
        words, test, passes = FILTERS[keep]
        keep_by = rng.randrange(2, 10) if keep == "divisible" else rng.randrange(10, 90)
        steps.append(f"Keep those {words.format(keep_by)}.")
        notes.append(test.format(keep_by))
        body.append(f"a=[x for x in a if {test.format(keep_by)}]")
    times = plus = None
    if not keep or rng.random() < 0.5:
        times, plus = rng.randrange(2, 10), rng.randrange(1, 100)
        steps.append(f"Multiply each by {times} and add {plus}.")
        notes.append(f"x*{times}+{plus}")
        body.append(f"a=[x*{times}+{plus} for x in a]")
    result = rng.choice(list(RESULTS))
    function, fold = RESULTS[result]
    steps.append(f"Print the {result}.")
    notes.append(function)
    body.append(f"print({function}(a))")

    def solve(numbers):
        if keep:
            numbers = [x for x in numbers if passes(x, keep_by)]
        if times:
            numbers = [x * times + plus for x in numbers]
        return fold(numbers) if numbers else None

    key = "Write a Python program. Read n, then n integers on one line. " + " ".join(steps)
    # Half of the statements show examples; with them a prompt is longer than the sliding window.
    shown = rng.choice([0, 3])
    tests = []
    while len(tests) < shown + 6:
        size = rng.randrange(5, 8) if len(tests) < shown else rng.randrange(4, 12)
        numbers = [rng.randrange(1, 100) for _ in range(size)]
        if (value := solve(numbers)) is not None:
            tests.append((f"{size}\n{' '.join(map(str, numbers))}\n", f"{value}\n"))
    text = key + "".join(f"\nInput:\n{i}Output:\n{o.strip()}" for i, o in tests[:shown])
    final = "```python\n" + "\n".join(body) + "\n```"
    truth = "demo_" + format(zlib.crc32(key.encode()), "08x")
    return Question("code", key, text, "\n".join(notes), final, truth, tests, shown)


MAKERS = {"math": math_question, "choice": choice_question, "code": code_question}


def sample(kind, rng, unseen):
    """A random question from the training side of the split, or with `unseen` from the other."""
    while True:
        question = MAKERS[kind](rng)
        if held_out(question) == unseen:
            return question


def sample_distinct(kind, count, rng):
    """Distinct held-out questions; code with and without examples in turn."""
    found = {}
    while len(found) < count:
        question = sample(kind, rng, unseen=True)
        if kind != "code" or bool(question.shown) == bool(len(found) % 2):
            found.setdefault(question.key, question)
    return list(found.values())


def train_tokenizer(seed=1):
    """Byte-level BPE over the training questions; all 256 bytes are in, digits stay single."""
    rng = random.Random(seed)
    corpus = []
    for i in range(6000):
        q = sample(("math", "choice", "code")[i % 3], rng, unseen=False)
        corpus.append("\n".join(["system", "user", "assistant", "analysis", "final", SYSTEM,
                                 q.text, q.analysis, q.final]))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIALS), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS])
    return tokenizer
