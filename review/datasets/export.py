"""Writing one dataset into a folder: from one snapshot, chunk by chunk, in a fixed order."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oversight.lib import codec
from oversight.lib.folders import sync_folder
from review.datasets import manifest as manifests
from review.datasets import reading, selection, writers
from review.datasets.columns import (
    EVALUATION,
    EVALUATION_KIND,
    RAW,
    TRAIN,
    Column,
    columns_of,
)
from review.datasets.labels import Labels, label_type, read_forms, settle, versions_used
from review.datasets.rows import RowMaker
from review.datasets.snapshot import Snapshot
from review.models import DatasetVersion, Question
from review.selectors import finished_rounds

MANIFEST, CARD = "manifest.json", "README.md"
_ROUND = (
    *finished_rounds.FIELDS,
    "window__number",
    "budget",
    "posterior_version",
    "scorer_version__number",
)


def write(
    dataset: DatasetVersion, snapshot: Snapshot, folder: Path, report: Callable[[int], None]
) -> dict[str, Any]:
    """Write all files of a dataset and return its manifest.

    Args:
        folder: an empty one.
        report: told the rows read so far, after every chunk; may raise to stop.

    Raises:
        InvalidInput: the labels of its rubric versions are not comparable.
    """
    stored = finished_rounds.stored_rounds(dataset.queue)
    rounds = list(snapshot.rows(stored, *_ROUND))
    draws = finished_rounds.finish(rounds)
    for row in rounds:
        row["completed_prefix"] = draws[row["id"]].prefix
        row["omega"] = draws[row["id"]].omega
    labels = _labels(dataset, snapshot)
    columns = columns_of(dataset.kind, labels.type)
    maker = RowMaker(dataset, labels, draws, columns)
    found, paths = selection.rows_of(dataset)
    read = reading.batches(snapshot, found, paths)
    written = _write_rows(dataset, maker, read, folder, columns, report)
    facts = [writers.fact_of(Path(path), w.file, w.n_rows) for path, w in written.values()]
    splits = {split: (path, writer.n_rows) for split, (path, writer) in written.items()}
    card = manifests.card(dataset, snapshot, maker.tally, columns, splits)
    facts.append(writers.fact_of(Path(CARD), writers.write_text(folder / CARD, card)))
    made = manifests.make(dataset, snapshot, maker.tally, labels, rounds, facts)
    writers.write_text(folder / MANIFEST, codec.encode(made).decode() + "\n")
    sync_folder(folder / "data")
    sync_folder(folder)
    return made


def _labels(dataset: DatasetVersion, snapshot: Snapshot) -> Labels:
    forms = read_forms(snapshot, versions_used(dataset.queue), dataset.question)
    if dataset.kind == RAW:
        # A verdict stands for itself, with the hashes of its clauses: nothing is pooled.
        kinds = {form.kind for form in forms.values() if form.question is not None}
        kind = kinds.pop() if len(kinds) == 1 else Question.Kind.TEXT
        return Labels(dataset.question, label_type(dataset.question, kind), forms)
    found, _ = selection.rows_of(dataset)
    # A first row for each version comes by index; the distinct versions would cost all the rows.
    first_rows = {form: found.order_by().filter(rubric_version=form)[:1] for form in forms}
    used = [form for form, first in first_rows.items() if any(snapshot.rows(first, "pk"))]
    return settle(forms, dataset.question, used)


def _write_rows(
    dataset: DatasetVersion,
    maker: RowMaker,
    read: Iterator[pa.RecordBatch],
    folder: Path,
    columns: tuple[Column, ...],
    report: Callable[[int], None],
) -> dict[str, tuple[str, writers.Writer]]:
    """One file per split that has rows; returns by split its path and its writer, closed."""
    (folder / "data").mkdir()
    opened: dict[str, tuple[str, writers.Writer]] = {}
    done = 0
    with ExitStack() as stack:

        def writer_of(split: str) -> writers.Writer:
            if split not in opened:
                path = f"data/{split}-00000-of-00001.{dataset.format}"
                writer = writers.open_writer(dataset.format, folder / path, columns)
                stack.callback(writer.close)
                opened[split] = path, writer
            return opened[split][1]

        for batch in read:
            rows = maker.make(batch)
            for split in (TRAIN, EVALUATION):
                part = rows.filter(pc.equal(rows["split"], split))
                if part.num_rows:
                    writer_of(split).write(part)
            done += batch.num_rows
            report(done)
        if not opened:  # an empty dataset is a dataset: its header says what it would hold
            writer_of(EVALUATION if dataset.kind == EVALUATION_KIND else TRAIN)
    return {split: opened[split] for split in (TRAIN, EVALUATION) if split in opened}
