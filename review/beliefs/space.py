"""The feature space of a posterior: which columns and fingerprints, and the frozen map over them.

Fingerprints of two models are not comparable, so a space knows those of one model; the other
models' records speak by score, signals and segments. A column of its own takes up what is special
about escalated records (docs/decisions/0016): it is learnt from, and is 0 for every candidate.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.columns import SEGMENT, SIGNAL, TERM, Column, table
from scoring.core.features import FeatureMap, feature_map_from_arrays, fit_feature_map
from scoring.core.posterior import GaussianPrior
from scoring.core.state import ScorerState, from_bytes, to_bytes
from scoring.models import ModelVersion
from scoring.selectors.candidates import Chunk, Wanted
from scoring.services.pinned import Pinned

FloatArray = npt.NDArray[np.float64]

MAX_SIGNALS, MAX_TERMS, MAX_SEGMENT_VALUES = 24, 4, 8
MIN_FINGERPRINTS = 50  # fewer say nothing of how fingerprints are spread
ESCALATED_SD = 2.0  # prior sd of the log-odds by which escalated records differ
_TERM_KINDS = ("detector", "fingerprint")
_MAP = "map."


@dataclass(frozen=True, eq=False)
class Space:
    """A frozen map from records to features.

    Attributes:
        columns: what is asked of each record besides score, raw and fingerprint.
        models: ids of the model versions whose fingerprints the map understands, ascending.
        feature_map: over (raw, [score, columns], fingerprint).
    """

    columns: tuple[Column, ...]
    models: tuple[int, ...]
    feature_map: FeatureMap

    @property
    def dimension(self) -> int:
        return int(self.feature_map.fingerprint_mean.size)

    @property
    def n_features(self) -> int:
        """Columns of the map, and the one that is 1 for escalated records."""
        return self.feature_map.n_features + 1

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.columns, self.models, self.dimension)

    def prior(self) -> GaussianPrior:
        known = self.feature_map.prior()
        return GaussianPrior(
            np.append(known.mean, 0.0), np.append(known.precision, ESCALATED_SD**-2.0)
        )

    def of_chunk(self, chunk: Chunk) -> FloatArray:
        """Features of candidates, float64 (n, n_features)."""
        vectors = None
        if chunk.fingerprint is not None:
            vectors = chunk.fingerprint.astype(np.float64)
        return self._features(chunk.raw, chunk.score, chunk.table, vectors)

    def of_records(
        self, rows: Sequence[Pinned], escalated: Sequence[bool] | None = None
    ) -> FloatArray:
        """Features of records or their copies, float64 (n, n_features)."""
        vectors = None
        if self.dimension:
            vectors = np.full((len(rows), self.dimension), np.nan)
            for index, row in enumerate(rows):
                if row.described.model_version in self.models and row.fingerprint is not None:
                    vectors[index] = row.fingerprint
        features = self._features(
            np.array([row.raw for row in rows]),
            np.array([row.score for row in rows]),
            table(self.columns, (row.described for row in rows)),
            vectors,
        )
        if escalated is not None:
            features[:, -1] = escalated
        return features

    def _features(
        self, raw: FloatArray, score: FloatArray, columns: FloatArray, vectors: FloatArray | None
    ) -> FloatArray:
        features = np.zeros((len(raw), self.n_features))
        features[:, :-1] = self.feature_map.transform(
            raw, signals=np.column_stack([score, columns]), fingerprint=vectors
        )
        return features

    def to_bytes(self) -> bytes:
        return to_bytes(self._state())

    def digest(self) -> str:
        return self._state().digest()

    def _state(self) -> ScorerState:
        arrays: Mapping[str, npt.NDArray[Any]] = self.feature_map.to_arrays()
        return ScorerState(
            config={
                "columns": [column.as_list() for column in self.columns],
                "models": list(self.models),
            },
            arrays={f"{_MAP}{name}": values for name, values in arrays.items()},
        )


def space_from_bytes(data: bytes) -> Space:
    """The space stored by `Space.to_bytes`; StateError or ValueError where it is damaged."""
    state = from_bytes(data)
    return Space(
        columns=tuple(Column.from_list(column) for column in state.config["columns"]),
        models=tuple(state.config["models"]),
        feature_map=feature_map_from_arrays(
            {name.removeprefix(_MAP): values for name, values in state.arrays.items()}
        ),
    )


def fit_space(
    rows: Sequence[Pinned],
    *,
    versions: Sequence[ModelVersion],
    segments: Sequence[str],
    base_rate: float,
    rng: np.random.Generator,
) -> Space:
    """Fit a space to a reference sample.

    Args:
        rows: at least one record, of the sample.
        versions: the project's model versions.
        segments: `region` or context fields that get a column per frequent value.
        base_rate: in (0, 1), expected share of violations.
        rng: draws the random features.
    """
    columns = _columns(rows, segments)
    raw = np.array([row.raw for row in rows])
    score = np.array([row.score for row in rows])
    signals = np.column_stack([score, table(columns, (row.described for row in rows))])
    plain = fit_feature_map(raw, base_rate=base_rate, rng=rng, signals=signals)
    models, vectors = _comparable(rows, versions)
    if not models:
        return Space(columns, (), plain)
    of_model = fit_feature_map(
        np.zeros(len(vectors)), base_rate=base_rate, rng=rng, fingerprint=vectors
    )
    joined = replace(
        of_model,
        prior_of_score=plain.prior_of_score,
        signal_mean=plain.signal_mean,
        signal_sd=plain.signal_sd,
        signal_prior_sd=plain.signal_prior_sd,
    )
    return Space(columns, models, joined)


def _columns(rows: Sequence[Pinned], segments: Sequence[str]) -> tuple[Column, ...]:
    """The most frequent signals, terms and segment values; ties by name."""
    signals = Counter(name for row in rows for name in row.described.signals)
    terms = Counter(
        (str(reason["name"]), str(reason["kind"]))
        for row in rows
        for reason in row.described.reasons
        if reason["kind"] in _TERM_KINDS
    )
    found = [Column(SIGNAL, name) for name in _frequent(signals, MAX_SIGNALS)]
    found += [Column(TERM, name, kind) for name, kind in _frequent(terms, MAX_TERMS)]
    for segment in segments:
        values = Counter(
            str(value) for row in rows if (value := _segment_value(row, segment)) not in (None, "")
        )
        found += [Column(SEGMENT, segment, one) for one in _frequent(values, MAX_SEGMENT_VALUES)]
    return tuple(found)


def _segment_value(row: Pinned, segment: str) -> Any:
    if segment == "region":
        return row.described.region
    value = row.described.context.get(segment)
    return value if isinstance(value, str) else None


def _frequent(counts: Counter[Any], limit: int) -> list[Any]:
    return [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][
        :limit
    ]


def _comparable(
    rows: Sequence[Pinned], versions: Sequence[ModelVersion]
) -> tuple[tuple[int, ...], FloatArray]:
    """The versions of the model that sent most fingerprints, and these fingerprints."""
    known = {version.pk: version for version in versions}
    spaces: dict[tuple[str, int], list[npt.NDArray[np.float32]]] = {}
    for row in rows:
        if row.fingerprint is not None:
            name = known[row.described.model_version].name
            spaces.setdefault((name, row.fingerprint.size), []).append(row.fingerprint)
    if not spaces:
        return (), np.empty((0, 0))
    (name, dimension), vectors = max(spaces.items(), key=lambda item: (len(item[1]), item[0]))
    if len(vectors) < MIN_FINGERPRINTS:
        return (), np.empty((0, 0))
    models = sorted(
        version.pk
        for version in versions
        if version.name == name and version.fingerprint_dimension == dimension
    )
    return tuple(models), np.array(vectors, dtype=np.float64)
