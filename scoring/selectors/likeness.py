"""How many of some records each of them practically equals: what discounts near-duplicates.

By fingerprint among records of one model; records without one by what was said, word for word.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db.models.functions import MD5, Concat

from scoring.core.near_duplicates import local_multiplicity
from scoring.intake import fingerprints
from scoring.models import InferenceRecord, ModelVersion, RecordPayload

FloatArray = npt.NDArray[np.float64]

N_PROJECTIONS = 32  # enough to keep distances to a tenth, and little to hold
_CHUNK = 4_096
_SCALE_ROWS = 1_024


def multiplicity(
    record_ids: Sequence[bytes], project_id: int, rng: np.random.Generator
) -> FloatArray:
    """Local multiplicity of each record among the others, itself included.

    Args:
        record_ids: n ids of 16 bytes.
        rng: draws projections; the result depends on it and on the set of records alone.

    Returns:
        float64 (n,), at least 1; 1 for a record whose payload is gone.
    """
    found = np.ones(len(record_ids))
    if len(record_ids) < 2:
        return found
    by_space, by_text = _grouped(record_ids, project_id)
    counts = Counter(by_text.values())
    for place, text in by_text.items():
        found[place] = counts[text]
    for (_, dimension), places in sorted(by_space.items()):
        projected = _projected(record_ids, places, dimension, rng)
        found[places] = local_multiplicity(projected, rng=rng)
    return found


def _grouped(
    record_ids: Sequence[bytes], project_id: int
) -> tuple[dict[tuple[str, int], npt.NDArray[np.int64]], dict[int, str]]:
    """Places by model and dimension of the fingerprint; and the texts of those without one."""
    dimensions = {
        pk: (name, dimension)
        for pk, name, dimension in ModelVersion.objects.filter(project=project_id).values_list(
            "pk", "name", "fingerprint_dimension"
        )
    }
    spaces: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    plain: list[int] = []
    for start in range(0, len(record_ids), _CHUNK):
        part = [UUID(bytes=one) for one in record_ids[start : start + _CHUNK]]
        models = dict(
            InferenceRecord.objects.filter(pk__in=part).values_list("id", "model_version_id")
        )
        with_vector = set(
            RecordPayload.objects.filter(pk__in=part, fingerprint__isnull=False).values_list(
                "id", flat=True
            )
        )
        for offset, record in enumerate(part):
            name, dimension = dimensions.get(models.get(record, 0), ("", None))
            if record in with_vector and dimension:
                spaces[name, dimension].append(start + offset)
            else:
                plain.append(start + offset)
    texts: dict[int, str] = {}
    for start in range(0, len(plain), _CHUNK):
        places = plain[start : start + _CHUNK]
        at = {UUID(bytes=record_ids[place]): place for place in places}
        said = RecordPayload.objects.filter(pk__in=at).annotate(
            said=Concat(MD5("input"), MD5("output"))
        )
        texts |= {at[record]: text for record, text in said.values_list("id", "said")}
    return {space: np.array(places) for space, places in spaces.items()}, texts


def _projected(
    record_ids: Sequence[bytes],
    places: npt.NDArray[np.int64],
    dimension: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Standardised fingerprints, projected at random to at most `N_PROJECTIONS` numbers.

    Distances survive it nearly (Johnson, Lindenstrauss, *Extensions of Lipschitz Mappings into a
    Hilbert Space*, 1984).
    """
    step = max(len(places) // _SCALE_ROWS, 1)
    sample = np.concatenate(
        [vectors for _, vectors in _vectors(record_ids, places[::step], dimension)]
    )
    mean, sd = np.nanmean(sample, axis=0), np.nanstd(sample, axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    width = min(N_PROJECTIONS, dimension)
    directions = (
        np.eye(dimension)
        if width == dimension
        else rng.normal(size=(dimension, width)) / np.sqrt(width)
    )
    projected = np.empty((len(places), width))
    for start, vectors in _vectors(record_ids, places, dimension):
        projected[start : start + len(vectors)] = ((vectors - mean) / sd) @ directions
    return projected


def _vectors(
    record_ids: Sequence[bytes], places: npt.NDArray[np.int64], dimension: int
) -> Iterator[tuple[int, FloatArray]]:
    """Fingerprints at places, in order, in chunks with their start; NaN where one is gone."""
    for start in range(0, len(places), _CHUNK):
        part = [UUID(bytes=record_ids[place]) for place in places[start : start + _CHUNK]]
        stored = dict(RecordPayload.objects.filter(pk__in=part).values_list("id", "fingerprint"))
        vectors = np.full((len(part), dimension), np.nan)
        for row, record in enumerate(part):
            packed = stored.get(record)
            if packed is not None:
                vectors[row] = fingerprints.unpack(bytes(packed), dimension)
        yield start, vectors
