"""What a set of invariants costs a record: medians, and ratios to what each shortcut spares.

Run: python -m benchmarks.invariants [--repeats N]
Texts are the completions of XSTest where the shared data is there, else sentences drawn from a
seeded vocabulary. CPU time, since other work on the machine is none of ours; what is compared is
measured in turn, so that the machine's moods hit all alike.
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
Times = list[float]
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


def once(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def microseconds(work: Callable[[], object], units: int, repeats: int) -> float:
    """Median CPU microseconds a unit."""
    return statistics.median(once(work) for _ in range(repeats)) / units * 1e6


def in_turn(works: dict[str, Callable[[], object]], units: int, repeats: int) -> dict[str, Times]:
    """CPU microseconds a unit of several works, one after the other in every round."""
    times: dict[str, Times] = {name: [] for name in works}
    for name, work in (*works.items(), *(list(works.items()) * repeats)):
        times[name].append(once(work) / units * 1e6)
    return {name: values[1:] for name, values in times.items()}  # the first round warms caches


def batch_costs(count: int, repeats: int, chars: int = 1200) -> dict[str, Times]:
    """Microseconds a record of the first `count` invariants, in batch and one by one.

    `typographic` has a curly quote in every text, so that nothing takes the way of ASCII.
    """
    chosen = InvariantSet.compile(load_starter()[:count])
    plain = records_of(corpus(chars, 400))
    curly = records_of(["\u201c" + text[1:] for text in corpus(chars, 400)])
    works = {
        "batch": lambda: chosen.evaluate_batch(plain),
        "one by one": lambda: [chosen.evaluate(record) for record in plain],
        "typographic, batch": lambda: chosen.evaluate_batch(curly),
        "typographic, one by one": lambda: [chosen.evaluate(record) for record in curly],
    }
    return in_turn(works, len(plain), repeats)


def single_costs(count: int, repeats: int, chars: int = 2000) -> Times:
    """Milliseconds of each of 40 records of 2 kB, `repeats` times over."""
    chosen = InvariantSet.compile(load_starter()[:count])
    records = records_of(corpus(chars, 40))
    chosen.evaluate_batch(records)
    return [
        once(lambda r=record: chosen.evaluate(r)) * 1e3
        for _ in range(repeats)
        for record in records
    ]


def hostile_costs(repeats: int, size: int = 1_000_000) -> dict[str, float]:
    """Milliseconds of all invariants on a megabyte that is made to hurt."""
    everything = InvariantSet.compile(load_starter())
    hostile = {
        "prose": " ".join(corpus(1200, 900))[:size],
        "digits": "1 " * (size // 2),
        "card-like": "4111-" * (size // 5),
        "addresses": "a@" * (size // 2),
        "assignments": "password=" * (size // 9),
        "invisible": "\u200b" * size,
        "fences": "```\n" * (size // 4),
    }
    return {
        name: microseconds(
            lambda t=text: everything.evaluate({"input": "hi", "output": t}), 1, repeats
        )
        / 1e3
        for name, text in hostile.items()
    }


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
    for count in (47, len(starter)):
        costs = batch_costs(count, repeats)
        for name, values in costs.items():
            print(f"{count} on 1.2 kB, {name}: {statistics.median(values):.1f} us a record")
        warm = statistics.median(costs["batch"])
    some = records_of(corpus(1200, 40))
    alone = one_by_one(everything)
    apart = microseconds(lambda: [alone(record) for record in some], len(some), 3)
    print(f"  every predicate on its own: {apart:.0f} us, ratio {apart / warm:.1f}")
    print(f"all on 2 kB, single: {statistics.median(single_costs(len(starter), 5)):.3f} ms")
    for name, cost in hostile_costs(3).items():
        print(f"1 MB of {name}: {cost:.1f} ms")


if __name__ == "__main__":
    main()
