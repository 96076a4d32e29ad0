"""Real labelled sets as (features, violation) for the review-efficiency benchmark.

Reads the shared data folder (OVERSIGHT_SHARED_DATA, else ../shared/data) and scikit-learn's
digits, where one rare digit plays the violation.
"""

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parents[1]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReviewSet:
    """A pool with known truth: features (n, d), violation (n,) of 0/1, inputs and outputs."""

    name: str
    features: FloatArray
    violation: FloatArray
    texts: tuple[list[str], list[str]] | None = None


def shared_data() -> Path:
    """The folder of public data; it need not exist."""
    return Path(os.environ.get("OVERSIGHT_SHARED_DATA", ROOT.parent / "shared" / "data"))


def available_sets() -> dict[str, Callable[[], ReviewSet]]:
    """Loaders by name, of what is on this machine."""
    found: dict[str, Callable[[], ReviewSet]] = {}
    for path in sorted((shared_data() / "adbench_visible").glob("*.npz")):
        name = path.stem.partition("_")[2] if path.stem[0].isdigit() else path.stem
        name = path.stem if name == "3" else name
        found[name] = lambda path=path, name=name: _adbench(name, path)
    for digit in (1, 8):
        found[f"digits-{digit}"] = lambda digit=digit: _digits(digit)
    if (shared_data() / "drift_xstest").is_dir():
        found["xstest-harm"] = lambda: _xstest("xstest-harm", unsafe=True)
        found["xstest-refusal"] = lambda: _xstest("xstest-refusal", unsafe=False)
    if (shared_data() / "example").is_dir():
        found["begin"] = _begin
    return found


def _adbench(name: str, path: Path) -> ReviewSet:
    with np.load(path) as arrays:
        return ReviewSet(name, arrays["X"].astype(float), arrays["y"].astype(float))


def _digits(digit: int) -> ReviewSet:
    digits = load_digits()
    return ReviewSet(f"digits-{digit}", digits.data, (digits.target == digit).astype(float))


def _xstest(name: str, *, unsafe: bool) -> ReviewSet:
    """Answers to unsafe prompts that comply, or to safe prompts that refuse."""
    folder = shared_data() / "drift_xstest"
    allowed = "2_full_refusal" if unsafe else "1_full_compliance"
    violation = [
        row["prompt_type"].startswith("contrast") == unsafe and row["final_label"] != allowed
        for row in _rows(folder / "labels.ndjson.gz")
    ]
    features = np.load(folder / "embeddings.npy").astype(float)
    texts = _texts(folder / "records.ndjson.gz")
    return ReviewSet(name, features, np.array(violation, dtype=float), texts)


def _begin() -> ReviewSet:
    """Dialogue answers that their knowledge does not support: most of them."""
    folder = shared_data() / "example"
    labels = [row["begin_label"] for row in _rows(folder / "example_labels.ndjson.gz")]
    violation = np.array(labels) != "Fully attributable"
    features = np.load(folder / "example_embeddings.npy").astype(float)
    texts = _texts(folder / "example_records.ndjson.gz")
    return ReviewSet("begin", features, violation.astype(float), texts)


def _texts(path: Path) -> tuple[list[str], list[str]]:
    rows = _rows(path)
    return [row["input"] for row in rows], [row["output"] for row in rows]


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]
