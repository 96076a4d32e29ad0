"""Cuts and joins record batches of one model; for fitting, which needs rows in other groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scoring.core.scorers.contract import InvalidBatchError, RecordBatch


def take(batch: RecordBatch, index: NDArray[np.int64]) -> RecordBatch:
    """The rows at `index`, int64 (k,), in its order."""
    matrix = batch.fingerprints
    return RecordBatch(
        model=batch.model,
        n=len(index),
        signals={name: values[index] for name, values in batch.signals.items()},
        fingerprints=None if matrix is None else matrix[index],
        has_fingerprint=batch.fingerprint_rows[index],
        context=[batch.context[i] for i in index] if batch.context else (),
    )


def without_fingerprints(batch: RecordBatch) -> RecordBatch:
    """The same records as if none had sent a fingerprint."""
    return RecordBatch(model=batch.model, n=batch.n, signals=batch.signals, context=batch.context)


def join(batches: Sequence[RecordBatch]) -> RecordBatch:
    """One batch of all rows; absent signals become NaN.

    Raises InvalidBatchError where there is none, models differ, or fingerprints differ in length.
    """
    if not batches or len({batch.model for batch in batches}) > 1:
        raise InvalidBatchError("batches of one model expected")
    n = sum(batch.n for batch in batches)
    names = sorted({name for batch in batches for name in batch.signals})
    widths = {batch.fingerprints.shape[1] for batch in batches if batch.fingerprints is not None}
    if len(widths) > 1:
        raise InvalidBatchError(f"fingerprints of model {batches[0].model!r} differ in length")
    fingerprints = None
    if widths:
        (width,) = widths
        blank = [np.zeros((batch.n, width), np.float32) for batch in batches]
        fingerprints = np.concatenate(
            [
                empty if batch.fingerprints is None else batch.fingerprints
                for empty, batch in zip(blank, batches, strict=True)
            ]
        )
    has_context = any(batch.context for batch in batches)
    return RecordBatch(
        model=batches[0].model,
        n=n,
        signals={
            name: np.concatenate(
                [batch.signals.get(name, np.full(batch.n, np.nan)) for batch in batches]
            )
            for name in names
        },
        fingerprints=fingerprints,
        has_fingerprint=np.concatenate([batch.fingerprint_rows for batch in batches]),
        context=[record for batch in batches for record in (batch.context or [{}] * batch.n)]
        if has_context
        else (),
    )
