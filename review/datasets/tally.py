"""What the manifest says about rows, counted while they stream by."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from review.datasets.labels import Labels

OTHER = "(other)"
_MAX_DISTINCT = 200  # what clients name freely may not swell the manifest


@dataclass
class Tally:
    """Counts by what was read and by what was made of it."""

    n_rows: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    emptied: Counter[str] = field(default_factory=Counter)
    consent: Counter[tuple[bool, str]] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    strata: Counter[str] = field(default_factory=Counter)
    beyond_prefix: int = 0
    certain_too: int = 0
    weight_sum: float = 0.0
    forms: set[int] = field(default_factory=set)
    models: set[tuple[str, str]] = field(default_factory=set)
    scorers: set[tuple[str, int]] = field(default_factory=set)

    def count(self, read: pa.RecordBatch, made: pa.RecordBatch, labels: Labels) -> None:
        """Count rows that leave: as they were read, row by row beside what was made of them."""
        self.n_rows += made.num_rows
        for (may_train, basis), n in _groups(read, "may_train", "consent_basis"):
            _add(self.consent, (may_train, basis), (may_train, OTHER), n)
        for (label,), n in _groups(made, "label"):
            known = "known" if labels.type == "number" else str(label)
            _add(self.labels, "unknown" if label is None else known, OTHER, n)
        for (stratum,), n in _groups(made, "stratum"):
            self.strata[stratum] += n
        self.beyond_prefix += made.num_rows - made["in_prefix"].true_count
        self.weight_sum = _added(self.weight_sum, made["weight"].to_numpy())
        self.models.update(key for key, _ in _groups(read, "model_name", "model_version"))
        self.scorers.update(key for key, _ in _groups(read, "scorer", "scorer_version"))


def distinct_rows(*columns: pa.Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The first row of each distinct combination, in their order, and by row its combination.

    A code stays below rows to the power of columns, which five columns of a batch keep in 64 bits.
    """
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        encoded = column.dictionary_encode(null_encoding="encode")
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy()
    _, firsts, places = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    return firsts[order], np.argsort(order)[places]


def _groups(batch: pa.RecordBatch, *names: str) -> Iterator[tuple[tuple[Any, ...], int]]:
    """The distinct values of some columns, in the order of their first rows, with their rows."""
    firsts, places = distinct_rows(*(batch[name] for name in names))
    found = batch.select(list(names)).take(pa.array(firsts)).to_pylist()
    counts = np.bincount(places, minlength=firsts.size).tolist()
    return zip((tuple(row.values()) for row in found), counts, strict=True)


def _added(total: float, terms: npt.NDArray[np.float64]) -> float:
    """One term after the other, so that a sum does not depend on where batches end."""
    return float(np.add.accumulate(np.concatenate([[total], terms]))[-1])


def _add(counter: "Counter[Any]", key: Any, other: Any, n: int) -> None:
    counter[key if key in counter or len(counter) < _MAX_DISTINCT else other] += n
