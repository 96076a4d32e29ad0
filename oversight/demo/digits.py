"""A small classifier on the handwritten digits that scikit-learn ships, and what it gets wrong.

It is trained on a third of the digits and run over the rest, some of them damaged the way real
scans are. Nothing is made up: outputs, confidences and hidden activations are the model's own.
"""

import base64
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

N_TRAIN = 500
N_BASELINE = 500
_SCALE = 8  # pixels a side, per pixel of the 8 x 8 original
_DAMAGES = ("noise", "smear", "cut", "inverted")
_SEED = 20_26


@dataclass(frozen=True, slots=True)
class Inference:
    """One run of the model: the record that is sent, and the truth that is kept apart."""

    record: dict[str, Any]
    is_wrong: bool


def inferences(start: datetime, end: datetime) -> tuple[list[Inference], list[Inference]]:
    """Baseline and stream: undamaged inferences to fit a scorer to, then those to watch.

    Args:
        start, end: the inferences are spread evenly over this time.
    """
    rng = np.random.default_rng(_SEED)
    images, truth = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    images, truth = images[order], truth[order]
    model = MLPClassifier((64,), alpha=1e-3, max_iter=400, random_state=_SEED)
    model.fit(images[:N_TRAIN] / 16, truth[:N_TRAIN])
    shown, expected = images[N_TRAIN:], truth[N_TRAIN:]
    made = list(_run(model, shown[:N_BASELINE], expected[:N_BASELINE], "scan", start, end))
    damaged, labels = _damage(rng, shown, expected)
    split = start + (end - start) / 3
    return made, list(_run(model, damaged, labels, "mail", split, end))


def _damage(
    rng: np.random.Generator, images: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Twice the digits in random order; about one in six is damaged in one of four ways."""
    pool = np.concatenate([images[N_BASELINE:], images])
    labels = np.concatenate([truth[N_BASELINE:], truth])
    order = rng.permutation(len(pool))
    pool, labels = pool[order].copy(), labels[order]
    for index in np.flatnonzero(rng.random(len(pool)) < 1 / 6):
        image = pool[index].reshape(8, 8)
        match _DAMAGES[rng.integers(len(_DAMAGES))]:
            case "noise":
                image = image + rng.normal(0, 6, image.shape)
            case "smear":
                image = (image + np.roll(image, 2, axis=1) + np.roll(image, 1, axis=0)) / 2
            case "cut":
                image = np.where(np.arange(8)[:, None] < rng.integers(3, 6), image, 0)
            case _:
                image = 16 - image
        pool[index] = np.clip(image, 0, 16).ravel()
    return pool, labels


def _run(
    model: MLPClassifier,
    images: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    source: str,
    start: datetime,
    end: datetime,
) -> Iterator[Inference]:
    probabilities = model.predict_proba(images / 16)
    hidden = np.maximum(images / 16 @ model.coefs_[0] + model.intercepts_[0], 0)
    step = (end - start) / max(len(images), 1)
    for index, image in enumerate(images):
        first, second = np.sort(probabilities[index])[::-1][:2]
        answer = int(model.classes_[probabilities[index].argmax()])
        record = {
            "external_id": f"digit-{source}-{index:05d}",
            "occurred_at": (start + index * step).isoformat(timespec="milliseconds"),
            "model": {"name": "digits-mlp", "version": "1", "decoder": {"hidden_units": 64}},
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Which digit is this?"},
                        {"type": "image", "media_type": "image/png", "data": png(image)},
                    ],
                }
            ],
            "output": str(answer),
            "signals": {
                "confidence": round(float(first), 6),
                "margin": round(float(first - second), 6),
            },
            "fingerprint": {
                "dtype": "float16",
                "data": base64.b64encode(hidden[index].astype("<f2").tobytes()).decode(),
            },
            "context": {"source": source, "region": ("eu", "us", "apac")[index % 3]},
            "consent": {"review": True, "training": True, "basis": "public data"},
        }
        yield Inference(record, is_wrong=answer != int(truth[index]))


def png(image: npt.NDArray[np.float64]) -> str:
    """An 8 x 8 image of values 0 to 16 as base64 PNG, dark on light, enlarged."""
    pixels = 255 - np.round(image.reshape(8, 8) * 255 / 16).astype(np.uint8)
    large = pixels.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in large)
    side = 8 * _SCALE
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)  # 8-bit greyscale
    body = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows, 9))
        + _chunk(b"IEND", b"")
    )
    return base64.b64encode(body).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
