"""Features of a record's own words, for where score and embedding of the answer know too little.

Whether an answer is wrong often shows only beside its question: a refusal is right for one prompt
and wrong for another, and an answer is ungrounded when its words come from nowhere. So input and
output are compressed apart, and their overlap is measured.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.features import median_distance, principal_components

FloatArray = NDArray[np.float64]

WORDS_SD = 0.3
OVERLAP_SD = 1.0
MAX_WORDS = 2000
N_OVERLAPS = 4

_WORD = re.compile(r"\w+(?:'\w+)?")
_SIDES = ("input", "output")


def words(text: str) -> list[str]:
    """The first 2,000 words of a text, in lower case."""
    return [found.group() for found in islice(_WORD.finditer(text.lower()), MAX_WORDS)]


def overlap_signals(inputs: Sequence[str], outputs: Sequence[str]) -> FloatArray:
    """How much of the output was already in the input, and how long both are.

    Returns
    -------
    float64 (n, 4)
        Shares of output words and of pairs of neighbouring words that the input holds, in [0, 1]
        (0 for an output without any), and the logs of one plus either length in words.
    """
    rows = np.zeros((len(inputs), N_OVERLAPS))
    for row, asked, answered in zip(rows, map(words, inputs), map(words, outputs), strict=True):
        known, known_pairs = set(asked), set(pairwise(asked))
        pairs = list(pairwise(answered))
        row[0] = sum(word in known for word in answered) / max(len(answered), 1)
        row[1] = sum(pair in known_pairs for pair in pairs) / max(len(pairs), 1)
        row[2:] = np.log1p(len(asked)), np.log1p(len(answered))
    return rows


def hashed_words(texts: Sequence[str], *, side: str, n_buckets: int) -> FloatArray:
    """Signed counts of words and pairs of words in hashed buckets, damped; float64 (n, n_buckets).

    Collisions cancel on average instead of adding up (Weinberger et al., *Feature Hashing for
    Large Scale Multitask Learning*, 2009). ``side`` salts the hash.
    """
    counts = np.zeros((len(texts), n_buckets))
    places: dict[str, tuple[int, float]] = {}
    for row, text in zip(counts, texts, strict=True):
        found = words(text)
        for token in (*found, *map(" ".join, pairwise(found))):
            if token not in places:
                digest = hashlib.blake2b(f"{side}:{token}".encode(), digest_size=8).digest()
                number = int.from_bytes(digest, "little")
                places[token] = number % n_buckets, 1.0 if number >> 63 else -1.0
            bucket, sign = places[token]
            row[bucket] += sign
    return np.asarray(np.sign(counts) * np.log1p(np.abs(counts)))


@dataclass(frozen=True, eq=False)
class _Side:
    """The frozen map of one side's words.

    rarity: float64 (b,), inverse document frequency of each bucket.  mean: float64 (b,).
    components: float64 (b, m).  frequencies: float64 (m, r), phases: float64 (r,).
    """

    rarity: FloatArray
    mean: FloatArray
    components: FloatArray
    frequencies: FloatArray
    phases: FloatArray

    def transform(self, counts: FloatArray) -> FloatArray:
        """float64 (n, m + r)."""
        compressed = (_unit_rows(counts * self.rarity) - self.mean) @ self.components
        waves = np.sqrt(2.0) * np.cos(compressed @ self.frequencies + self.phases)
        return np.hstack([compressed, waves])


@dataclass(frozen=True, eq=False)
class TextMap:
    """Frozen map of texts to columns that `fit_feature_map` takes as signals.

    Attributes
    ----------
    sides : tuple of two maps
        Of input and output.
    """

    sides: tuple[_Side, _Side]

    @property
    def prior_sd(self) -> FloatArray:
        """Prior sd of each column's coefficient, for ``signal_prior_sd`` of `fit_feature_map`."""
        n_words = sum(side.components.shape[1] + side.phases.size for side in self.sides)
        return np.concatenate([np.full(N_OVERLAPS, OVERLAP_SD), np.full(n_words, WORDS_SD)])

    def transform(self, inputs: Sequence[str], outputs: Sequence[str]) -> FloatArray:
        """Overlap signals, then principal components and Fourier features of either side's words.

        Returns float64 (n, len(prior_sd)); ValueError when the lengths differ.
        """
        if len(inputs) != len(outputs):
            raise ValueError("inputs and outputs must have one length")
        columns = [overlap_signals(inputs, outputs)]
        for name, side, texts in zip(_SIDES, self.sides, (inputs, outputs), strict=True):
            counts = hashed_words(texts, side=name, n_buckets=side.rarity.size)
            columns.append(side.transform(counts))
        return np.hstack(columns)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for storage; `text_map_from_arrays` reads them back."""
        return {
            f"{name}_{part}": getattr(side, part).copy()
            for name, side in zip(_SIDES, self.sides, strict=True)
            for part in _Side.__dataclass_fields__
        }


def text_map_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> TextMap:
    """The map stored by `TextMap.to_arrays`; KeyError or ValueError on arrays that do not fit."""
    sides = [
        _Side(*(np.array(arrays[f"{n}_{p}"], np.float64) for p in _Side.__dataclass_fields__))
        for n in _SIDES
    ]
    for side in sides:
        widths = (side.rarity.size, side.mean.size, *side.frequencies.shape)
        if widths != (*side.components.shape[:1] * 2, side.components.shape[1], side.phases.size):
            raise ValueError("arrays of the text map do not fit together")
    return TextMap((sides[0], sides[1]))


def fit_text_map(
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    rng: np.random.Generator,
    n_buckets: int = 1024,
    n_components: int = 32,
    n_fourier: int = 48,
) -> TextMap:
    """Fit the map on an unlabelled reference window.

    Parameters
    ----------
    inputs, outputs : sequences of str, one length n >= 1
    rng : numpy.random.Generator
        Draws frequencies, phases and the rows of the bandwidth.
    n_buckets : int
        Hash buckets a side.
    n_components, n_fourier : int
        Principal components (at most n - 1) and Fourier features a side.

    Raises
    ------
    ValueError
        Without any text, or when the lengths differ.

    Notes
    -----
    Counts are damped by log, weighed by inverse document frequency and brought to unit length, as
    in latent semantic analysis (Deerwester et al., 1990), then compressed and lifted as
    fingerprints are in `scoring.core.features`.
    """
    if len(inputs) != len(outputs) or not len(inputs):
        raise ValueError("inputs and outputs must have one length, at least 1")
    sides = []
    for name, texts in zip(_SIDES, (inputs, outputs), strict=True):
        counts = hashed_words(texts, side=name, n_buckets=n_buckets)
        rarity = np.log(len(texts) / (1.0 + (counts != 0.0).sum(axis=0))).clip(min=0.0)
        unit = _unit_rows(counts * rarity)
        mean = unit.mean(axis=0)
        components = principal_components(unit - mean, min(n_components, len(texts) - 1))
        natural_sd = 1.0 / np.linalg.norm(components, axis=0)
        bandwidth = median_distance((unit - mean) @ components * natural_sd, rng)
        frequencies = rng.normal(size=(natural_sd.size, n_fourier if natural_sd.size else 0))
        frequencies *= natural_sd[:, None] / bandwidth
        phases = rng.uniform(0.0, 2.0 * np.pi, (frequencies.shape[1],))
        sides.append(_Side(rarity, mean, components, frequencies, phases))
    return TextMap((sides[0], sides[1]))


def _unit_rows(table: FloatArray) -> FloatArray:
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9))
