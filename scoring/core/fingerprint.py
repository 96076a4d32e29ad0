"""Fingerprints: one fixed-size vector from a model's internal activations, whatever their length.

f(x) = ⊕_l Pool(σ(W_l · A_l(x))), the Engine issue's equation 1: the tokens of layer l are projected
by a frozen W_l, squashed, pooled over tokens, and the layers' parts are concatenated.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.state import ScorerState

Activations = Mapping[str, NDArray[Any]]
DEFAULT_SIZE = 256
EPSILON = 1e-6
KIND = "fingerprint"
NUMBER = 1

_POOLS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "mean": lambda tokens: tokens.mean(axis=0),
    "max": lambda tokens: tokens.max(axis=0),
    "last": lambda tokens: tokens[-1],
    "std": lambda tokens: tokens.std(axis=0),
}
_SQUASHES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "tanh": np.tanh,
    "sigmoid": lambda x: np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0)),
    "identity": lambda x: x,
}


HALF_MAX = 65_504.0  # the largest number of float16


def as_stored(values: NDArray[Any]) -> NDArray[Any]:
    """A fingerprint as it is kept and scored: float16, or float32 where that overflows.

    values: floating (d,), d >= 1.  Half precision keeps a stored row of ordinary size small; the
    server and a monitor round alike, so that both score the same numbers.
    """
    fits = bool(np.abs(values).max(initial=0.0) <= HALF_MAX)  # false for NaN
    with np.errstate(over="ignore"):  # beyond float32, a value counts as infinitely far
        return values.astype("<f2" if fits else "<f4")


class FingerprintError(ValueError):
    """Activations or settings from which no fingerprint can be made."""


@dataclass(frozen=True)
class FingerprintSpec:
    """Which layers make a fingerprint, and how.

    layers: (name, width) in the order of concatenation; width is d_l >= 1.
    size: length of the fingerprint, at least one number per layer and pool.
    pools: any of mean, max, last, std.  squash: tanh, sigmoid or identity.
    seed: of the random projections.
    max_tokens: longer sequences are thinned to at most this many evenly spaced tokens, the last
        included, so that the cost of an extraction has a bound: the default keeps 12 layers of
        width 768 under 2 ms.
    """

    layers: tuple[tuple[str, int], ...]
    size: int = DEFAULT_SIZE
    pools: tuple[str, ...] = ("mean",)
    squash: str = "tanh"
    seed: int = 0
    max_tokens: int = 32

    def __post_init__(self) -> None:
        names = [name for name, _ in self.layers]
        if not names or len(set(names)) != len(names) or min(w for _, w in self.layers) < 1:
            raise FingerprintError("layers need distinct names and widths of at least 1")
        if not self.pools or not set(self.pools) <= set(_POOLS) or self.squash not in _SQUASHES:
            raise FingerprintError(f"pools are {sorted(_POOLS)}, squashes {sorted(_SQUASHES)}")
        if self.size < len(names) * len(self.pools) or self.max_tokens < 1:
            raise FingerprintError("size must hold one number per layer and pool, max_tokens >= 1")

    def slots(self) -> list[list[int]]:
        """Numbers per layer and pool, as even as possible; they add up to `size`."""
        n_slots = len(self.layers) * len(self.pools)
        base, extra = divmod(self.size, n_slots)
        sizes = [base + (i < extra) for i in range(n_slots)]
        return [sizes[i : i + len(self.pools)] for i in range(0, n_slots, len(self.pools))]


@dataclass(frozen=True, eq=False)
class Projection:
    """One layer's frozen W_l.

    weights: float32 (d, k).  mean: float32 (d,), subtracted first, or None where each token is
    divided by its root mean square instead.
    """

    weights: NDArray[np.float32]
    mean: NDArray[np.float32] | None

    def apply(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (n_tokens, d) -> (n_tokens, k)."""
        projected: NDArray[np.float32]
        if self.mean is not None:
            projected = np.matmul(tokens - self.mean, self.weights)
            return projected
        power = np.einsum("ij,ij->i", tokens, tokens) / tokens.shape[1]
        root_mean_square = np.sqrt(power + EPSILON)
        projected = np.matmul(tokens, self.weights) / root_mean_square[:, None]
        return projected


class Fingerprinter:
    """Frozen projections of a spec; the same activations always give the same fingerprint."""

    def __init__(self, spec: FingerprintSpec, projections: Mapping[str, Projection]) -> None:
        """See `random_projections` and `fit_pca`, which make one."""
        for (name, width), slots in zip(spec.layers, spec.slots(), strict=True):
            projection = projections.get(name)
            if projection is None or projection.weights.shape != (width, max(slots)):
                raise FingerprintError(f"layer {name!r}: weights ({width}, {max(slots)}) expected")
        self.spec = spec
        self._slots = spec.slots()
        self._projections = projections

    def extract(self, activations: Activations) -> NDArray[np.float32]:
        """Fingerprint of one record: float32 (size,).

        activations: layer -> (n_tokens, d_l), any float type. A layer that is absent, or has no
        tokens, gives zeros, which is what a centred layer averages to.

        Raises FingerprintError where a width differs, a value is not finite, or no layer is there.
        """
        parts: list[NDArray[np.float32]] = []
        for (name, width), slots in zip(self.spec.layers, self._slots, strict=True):
            tokens = activations.get(name)
            if tokens is None or len(tokens) == 0:
                parts.append(np.zeros(sum(slots), np.float32))
            else:
                parts.append(self._layer(name, thin(tokens, self.spec.max_tokens), width, slots))
        if not any(name in activations and len(activations[name]) for name, _ in self.spec.layers):
            raise FingerprintError("none of the layers is present")
        fingerprint = np.concatenate(parts)
        if not np.isfinite(fingerprint).all():
            raise FingerprintError("activations are not finite")
        return fingerprint

    def extract_batch(self, records: Sequence[Activations]) -> NDArray[np.float32]:
        """Fingerprints of records of any lengths: float32 (n_records, size)."""
        out = np.empty((len(records), self.spec.size), np.float32)
        for i, activations in enumerate(records):
            out[i] = self.extract(activations)
        return out

    def _layer(
        self, name: str, tokens: NDArray[Any], width: int, slots: Sequence[int]
    ) -> NDArray[np.float32]:
        if tokens.ndim != 2 or tokens.shape[1] != width:
            raise FingerprintError(f"layer {name!r}: shape (n_tokens, {width}) expected")
        with np.errstate(over="ignore", invalid="ignore"):  # found out by the caller
            projected = self._projections[name].apply(tokens.astype(np.float32, copy=False))
            squashed = _SQUASHES[self.spec.squash](projected)
            return np.concatenate(
                [
                    _POOLS[pool](squashed[:, :size])
                    for pool, size in zip(self.spec.pools, slots, strict=True)
                ]
            )

    def to_state(self) -> ScorerState:
        """The frozen fingerprinter, for storing and hashing."""
        spec = self.spec
        config = {
            "kind": KIND,
            "number": NUMBER,
            "layers": [[name, width] for name, width in spec.layers],
            "size": spec.size,
            "pools": list(spec.pools),
            "squash": spec.squash,
            "seed": spec.seed,
            "max_tokens": spec.max_tokens,
        }
        arrays = {}
        for i, (name, _) in enumerate(spec.layers):
            projection = self._projections[name]
            arrays[f"{i}/weights"] = projection.weights
            if projection.mean is not None:
                arrays[f"{i}/mean"] = projection.mean
        return ScorerState(config=config, arrays=arrays)

    @classmethod
    def from_state(cls, state: ScorerState) -> "Fingerprinter":
        """Read what `to_state` wrote; raises FingerprintError for anything else."""
        config = state.config
        try:
            if (config["kind"], config["number"]) != (KIND, NUMBER):
                raise FingerprintError("not the state of a fingerprinter")
            spec = FingerprintSpec(
                layers=tuple((name, width) for name, width in config["layers"]),
                size=config["size"],
                pools=tuple(config["pools"]),
                squash=config["squash"],
                seed=config["seed"],
                max_tokens=config["max_tokens"],
            )
            projections = {
                name: Projection(state.arrays[f"{i}/weights"], state.arrays.get(f"{i}/mean"))
                for i, (name, _) in enumerate(spec.layers)
            }
        except (KeyError, TypeError, ValueError) as error:
            raise FingerprintError(f"not the state of a fingerprinter: {error}") from error
        return cls(spec, projections)


def random_projections(spec: FingerprintSpec) -> Fingerprinter:
    """Projections of random signs, needing no data and the same for a seed on every machine.

    W = ±1/√d, signs from SHAKE-256 rather than a generator whose stream a release may change.

    Source: Achlioptas, Database-friendly Random Projections, Journal of Computer and System
    Sciences 2003.
    """
    projections = {}
    for (name, width), slots in zip(spec.layers, spec.slots(), strict=True):
        n_signs = width * max(slots)
        digest = hashlib.shake_256(f"{spec.seed}/{name}".encode()).digest((n_signs + 7) // 8)
        bits = np.unpackbits(np.frombuffer(digest, np.uint8), count=n_signs)
        signs = (2.0 * bits - 1.0).reshape(width, max(slots))
        projections[name] = Projection((signs / math.sqrt(width)).astype(np.float32), None)
    return Fingerprinter(spec, projections)


def fit_pca(spec: FingerprintSpec, records: Iterable[Activations]) -> Fingerprinter:
    """Projections on each layer's principal directions of tokens, scaled to variance 1.

    Directions without variance get weight 0; their sign makes the largest entry positive, so that
    the same data give the same fingerprint. One pass, O(d_l²) memory per layer.

    Raises FingerprintError where a layer has fewer than two tokens in all, or values that are not
    finite.
    """
    totals = {name: np.zeros(width) for name, width in spec.layers}
    products = {name: np.zeros((width, width)) for name, width in spec.layers}
    n_tokens = dict.fromkeys(totals, 0)
    for activations in records:
        for name in totals.keys() & activations.keys():
            tokens = np.asarray(activations[name], np.float64)
            n_tokens[name] += len(tokens)
            totals[name] += tokens.sum(axis=0)
            products[name] += tokens.T @ tokens
    projections = {}
    for (name, _), slots in zip(spec.layers, spec.slots(), strict=True):
        n = n_tokens[name]
        if n < 2 or not np.isfinite(products[name]).all():
            raise FingerprintError(f"layer {name!r}: two or more finite tokens are needed")
        mean = totals[name] / n
        covariance = products[name] / n - np.outer(mean, mean)
        directions = _principal_directions(covariance, max(slots))
        projections[name] = Projection(directions.astype(np.float32), mean.astype(np.float32))
    return Fingerprinter(spec, projections)


def attention_features(maps: NDArray[Any]) -> NDArray[np.float32]:
    """Attention maps as token features of fixed width: (heads, t, t) -> float32 (t, 5·heads).

    Per head and querying token: entropy over log t, largest weight, mean distance over t, weight
    on the first token, weight on itself. Rows of `maps` must be distributions.
    """
    if maps.ndim != 3 or maps.shape[1] != maps.shape[2]:
        raise FingerprintError("attention maps of shape (heads, t, t) expected")
    weights = maps.astype(np.float32)
    t = maps.shape[1]
    position = np.arange(t, dtype=np.float32)
    distance = np.abs(position[:, None] - position) / np.float32(max(t, 1))
    entropy = -np.sum(weights * np.log(np.maximum(weights, np.float32(1e-12))), axis=2)
    features = [
        entropy / np.float32(math.log(t) if t > 1 else 1.0),
        weights.max(axis=2, initial=0.0),
        np.einsum("hqk,qk->hq", weights, distance),
        weights[:, :, 0] if t else weights.sum(axis=2),
        np.diagonal(weights, axis1=1, axis2=2),
    ]
    return np.ascontiguousarray(np.concatenate(features).T)


def thin(tokens: NDArray[Any], max_tokens: int) -> NDArray[Any]:
    """At most `max_tokens` evenly spaced tokens, the last one always among them."""
    n = len(tokens)
    stride = -(-n // max_tokens)
    return tokens[(n - 1) % stride :: stride] if stride > 1 else tokens  # a view, not a copy


def _principal_directions(covariance: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Top k eigenvectors over the root of their eigenvalues, float64 (d, k)."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])
    used = values > 1e-10 * max(values[0], 0.0)
    scaled = vectors * np.where(used, 1.0 / np.sqrt(np.where(used, values, 1.0)), 0.0)
    return np.pad(scaled, ((0, 0), (0, k - scaled.shape[1])))
