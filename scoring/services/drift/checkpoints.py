"""The moving baselines as rows: read before a comparison, moved on in its transaction."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from oversight.lib.clock import now
from scoring.core.drift.moving import MovingBaselines, projected
from scoring.core.state import from_bytes, to_bytes
from scoring.models import BaselineCheckpoint, DriftReference, ModelVersion, Window
from scoring.services.drift.comparing import MAX_SEGMENTS
from scoring.services.drift.samples import NONE, OTHER, Records

SEGMENT_DIMENSIONS = 64  # of fingerprints within a segment: many small baselines
WHOLE = ("", "")

Key = tuple[str, str]


def find(
    model: ModelVersion, reference: DriftReference, key: Key = WHOLE
) -> MovingBaselines | None:
    """The baselines as last stored under a reference; None before the first."""
    row = BaselineCheckpoint.objects.filter(
        model_version=model, reference=reference, name=key[0], value=key[1]
    ).first()
    return None if row is None else MovingBaselines.from_state(from_bytes(bytes(row.state)))


def absorb(
    model: ModelVersion,
    reference: DriftReference,
    window: Window,
    records: Records,
    confirmed: NDArray[np.bool_],
) -> MovingBaselines:
    """Let the baselines of the whole and of its largest segments take the records in.

    Args:
        model: of the records.
        reference: in force; baselines of another one are left behind.
        window: the last of the span that the records are of.
        records: in order of time.
        confirmed: bool (n,), confirmed violations, which teach nothing.

    Returns:
        The baselines of all records, as they are now.
    """
    everything = np.ones(len(records), np.bool_)
    whole = _moved_on(model, reference, WHOLE, window, records, everything, confirmed)
    for key in _largest_segments(records):
        member = np.asarray(records.segments[key[0]] == key[1])
        _moved_on(model, reference, key, window, records, member, confirmed)
    return whole


def _moved_on(
    model: ModelVersion,
    reference: DriftReference,
    key: Key,
    window: Window,
    records: Records,
    member: NDArray[np.bool_],
    confirmed: NDArray[np.bool_],
) -> MovingBaselines:
    baselines = find(model, reference, key) or MovingBaselines()
    prints = records.fingerprints
    if prints is not None:
        prints = prints[member] if key == WHOLE else projected(prints[member], SEGMENT_DIMENSIONS)
    signals: Mapping[str, NDArray[np.float64]] = {
        name: values[member] for name, values in records.signals.items()
    }
    baselines.absorb(prints, signals, p=1.0 - records.score[member], confirmed=confirmed[member])
    BaselineCheckpoint.objects.update_or_create(
        model_version=model,
        name=key[0],
        value=key[1],
        defaults={
            "reference": reference,
            "state": to_bytes(baselines.to_state()),
            "n_absorbed": baselines.n_absorbed,
            "n_refused": baselines.n_refused,
            "window": window,
            "updated_at": now(),
        },
    )
    return baselines


def _largest_segments(records: Records) -> list[Key]:
    sizes: dict[Key, int] = {}
    for name, values in records.segments.items():
        found, counts = np.unique(values, return_counts=True)
        for value, n in zip(found, counts, strict=True):
            if value not in (NONE, OTHER) and n < len(records):
                sizes[name, str(value)] = int(n)
    return sorted(sizes, key=lambda key: (-sizes[key], key))[:MAX_SEGMENTS]
