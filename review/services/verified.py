"""What people said, as scoring takes it: folds by group, episodes by model and time."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from review.models import ReviewQueue
from review.selectors.learning_labels import LearningLabels, labels_of
from scoring.verified import N_FOLDS, VerifiedLabels

# Violations of one model version without a day between them are one failure.
EPISODE_GAP_SECONDS = 86_400.0


def source_of(queue: ReviewQueue, question: str = "") -> str:
    """How labels of a queue and question are named."""
    return f"{queue.slug}/{question}" if question else queue.slug


def verified_labels(queue: ReviewQueue, question: str = "") -> VerifiedLabels:
    """The labels of a queue, ready to be handed down.

    Raises:
        InvalidInput: the question is not one that says yes or no.
    """
    return handed_down(labels_of(queue, question))


def handed_down(labels: LearningLabels) -> VerifiedLabels:
    """The same labels in scoring's form."""
    return VerifiedLabels(
        source=source_of(labels.queue, labels.question),
        record_ids=labels.record_ids,
        label=labels.label,
        weight=labels.weight,
        seconds=labels.occurred_at,
        held_out=labels.held_out,
        positives_only=labels.positives_only,
        fold=folds_of(labels),
        sequence=labels.resolution_ids,
        episode=episodes_of(labels),
        segments=labels.segments,
        left_out=labels.left_out,
    )


def folds_of(labels: LearningLabels) -> npt.NDArray[np.int8]:
    """int8 (n,): the fold of each row's group; of its record where the group is not known."""
    keys = [
        group or record.bytes
        for group, record in zip(labels.groups, labels.record_ids, strict=True)
    ]
    return np.array([_fold(key) for key in keys], dtype=np.int8)


def _fold(key: bytes) -> int:
    # Hashed again: the group's own number decides the held-out side.
    digest = hashlib.blake2b(key, digest_size=8, person=b"oversight.fold").digest()
    return int.from_bytes(digest, "big") % N_FOLDS


def episodes_of(labels: LearningLabels) -> Sequence[str]:
    """The failure each violation belongs to, "" for all else."""
    names = [""] * len(labels)
    violations = np.flatnonzero(labels.label == 1.0)
    order = np.lexsort((labels.occurred_at[violations], labels.model_versions[violations]))
    number, last = 0, (-1, 0.0)
    for row in violations[order].tolist():
        here = int(labels.model_versions[row]), float(labels.occurred_at[row])
        if here[0] != last[0] or here[1] - last[1] > EPISODE_GAP_SECONDS:
            number += 1
        names[row] = f"episode {number}"
        last = here
    return names
