"""What a set of invariants costs a record: medians, and ratios to what each shortcut spares.

Run: python -m benchmarks.invariants [--repeats N]
Texts are the completions of XSTest where the shared data is there, else sentences drawn from a
seeded vocabulary. CPU time, since other work on the machine is none of ours.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scoring.core.invariants.engine import InvariantSet
from scoring.core.invariants.finding_atoms import find_atom
from scoring.core.invariants.language import Predicate
from scoring.core.invariants.measuring_atoms import measure_atom
from scoring.core.invariants.packs import load_starter
from scoring.core.invariants.record import RecordView

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("OVERSIGHT_SHARED_DATA", ROOT.parent / "shared" / "data"))
SYSTEM = (
    "You are the assistant of a bank. Answer politely and briefly, never discuss competitors, and "
    "ask for no passwords. Offer a call with an adviser where a question needs one."
)


def corpus(chars: int, count: int) -> list[str]:
    """Texts of `chars` characters each, ASCII or not as they come."""
    path = SHARED / "xstest" / "xstest_completions.jsonl.gz"
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            whole = " ".join(json.loads(line)["completion"] for line in file)
    else:
        rng = np.random.default_rng(7)
        words = ["river", "valley", "water", "stone", "account", "help", "order", "please", "42,"]
        words += [f"w{index}" for index in range(2000)]
        whole = " ".join(rng.choice(words, size=count * chars // 4))
    starts = range(0, len(whole) - chars, chars)
    return [whole[start : start + chars] for start in starts][:count]


def records_of(texts: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "input": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"Question {index}: what should I do next, please?"},
            ],
            "output": text,
            "signals": {"toxicity": 0.1},
            "context": {"region": ("EU", "US", "IN")[index % 3]},
            "model": {"name": "assistant", "version": "3"},
        }
        for index, text in enumerate(texts)
    ]


def microseconds(work: Callable[[], object], units: int, repeats: int) -> float:
    """Median CPU microseconds a unit."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / units * 1e6)
    return statistics.median(times)


def one_by_one(invariants: InvariantSet) -> Callable[[dict[str, Any]], None]:
    """Every predicate tested on its own: no prefilter, nothing shared."""
    predicates: set[Predicate] = set()

    def collect(node: object) -> None:
        if isinstance(node, Predicate):
            predicates.add(node)
            return
        for name in ("children", "child", "premise", "conclusion"):
            value = getattr(node, name, ())
            for child in value if isinstance(value, tuple) else (value,):
                collect(child)

    for invariant in invariants.invariants:
        collect(invariant.condition)
    atoms = [find_atom(one) or measure_atom(one) for one in predicates]

    def run(record: dict[str, Any]) -> None:
        for atom in atoms:
            if atom is not None:
                atom.test(RecordView(record))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats

    starter = load_starter()
    start = time.process_time()
    everything = InvariantSet.compile(starter)
    print(f"compile {len(starter)} invariants: {(time.process_time() - start) * 1e3:.0f} ms")
    first = InvariantSet.compile(starter[:47])

    seen, fresh = records_of(corpus(1200, 400))[::2], records_of(corpus(1200, 400))[1::2]
    first.evaluate_batch(seen)
    everything.evaluate_batch(seen)
    for name, chosen in (("47", first), (str(len(starter)), everything)):
        new = microseconds(lambda s=chosen: s.evaluate_batch(fresh), len(fresh), 1)
        warm = microseconds(lambda s=chosen: s.evaluate_batch(fresh), len(fresh), repeats)
        hits = sum(map(len, chosen.evaluate_batch(fresh))) / len(fresh)
        print(
            f"{name} on 1.2 kB, batch: {warm:.1f} us a record "
            f"({new:.1f} on texts not seen before; {hits:.2f} violations a record)"
        )
    alone = one_by_one(everything)
    apart = microseconds(lambda: [alone(record) for record in fresh[:40]], 40, 3)
    print(f"  every predicate on its own: {apart:.0f} us, ratio {apart / warm:.1f}")

    (record,) = records_of(corpus(2000, 1))
    single = microseconds(lambda: everything.evaluate(record), 1, 50)
    print(f"all on 2 kB, single: {single / 1e3:.3f} ms")

    size = 1_000_000
    hostile = {
        "prose": " ".join(corpus(1200, 900))[:size],
        "digits": "1 " * (size // 2),
        "card-like": "4111-" * (size // 5),
        "addresses": "a@" * (size // 2),
        "assignments": "password=" * (size // 9),
        "invisible": "\u200b" * size,
        "fences": "```\n" * (size // 4),
    }
    for name, text in hostile.items():
        chosen = {"input": "hi", "output": text}
        cost = microseconds(lambda r=chosen: everything.evaluate(r), 1, 3)
        print(f"1 MB of {name}: {cost / 1e3:.1f} ms")


if __name__ == "__main__":
    main()
