"""From what was read to the rows of the files: label, weight, split, consent.

Whole columns at a time. What repeats (answers, clauses, forms, reviewers) is settled once for each
distinct value of a batch.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from oversight.audit.services import content_hmac
from oversight.lib import codec
from review.datasets.columns import (
    CLASSIFICATION,
    EVALUATION,
    RAW,
    TRAIN,
    WITH_CONTENT,
    Column,
)
from review.datasets.labels import Labels
from review.datasets.reading import ARROW
from review.datasets.tally import Tally, distinct_rows
from review.datasets.weights import NO_ROUND, weigh
from review.models import Case, DatasetVersion
from review.selectors.finished_rounds import FinishedRound

CERTAIN = "certain"
_PSEUDONYM = 16  # hexadecimal digits
_NO_RESOLUTION = {"n_verdicts": 0, "agreement": None, "n_counted": 0, "is_counted": False}

Columns = dict[str, pa.Array]


class RowMaker:
    """Turns batches of what was read into rows, and counts."""

    def __init__(
        self,
        dataset: DatasetVersion,
        labels: Labels,
        draws: Mapping[int, FinishedRound],
        columns: Sequence[Column],
    ) -> None:
        self.dataset = dataset
        self.labels = labels
        self.draws = draws
        self.schema = pa.schema([pa.field(c.name, ARROW[c.type]) for c in columns])
        self.tally = Tally()

    def make(self, read: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch that may leave, in order."""
        kept = read.filter(self._may_leave(read))
        if not kept.num_rows:
            return pa.RecordBatch.from_pylist([], schema=self.schema)
        made = dict(zip(kept.schema.names, kept.columns, strict=True))
        made |= self._drawn(made)
        made |= self._judged(made) if self.dataset.kind == RAW else self._resolved(made)
        made |= self._labelled(made)
        rows = pa.RecordBatch.from_arrays(
            [_as(made[field.name], field.type) for field in self.schema], schema=self.schema
        )
        self.tally.count(kept, rows, self.labels)
        self.tally.forms.update(pc.unique(made["form"]).to_pylist())
        return rows

    def _may_leave(self, read: pa.RecordBatch) -> pa.Array:
        """Which rows may leave; the first reason that withholds a row counts."""
        reasons = {"erased": pc.is_valid(read["erased_at"])}
        if self.dataset.kind == CLASSIFICATION:
            reasons["held_out"] = read["held_out"]
            reasons["no_training_consent"] = pc.invert(read["may_train"])
        kept = np.ones(read.num_rows, dtype=bool)
        for reason, holds in reasons.items():
            withheld = kept & _flags(holds)
            if n := int(withheld.sum()):
                self.tally.withheld[reason] += n
            kept &= ~withheld
        return pa.array(kept)

    def _drawn(self, read: Columns) -> Columns:
        """How the record came to be judged: stratum, probability, and its case's weight."""
        is_certain = pc.equal(read["case_kind"], Case.Kind.ESCALATED.value)
        round_ids = _numbers(read["round_id"], NO_ROUND)
        positions = _numbers(read["position"], 0)
        certain_too = _flags(read["is_certain_too"])
        weight = weigh(
            round_ids,
            positions,
            _numbers(read["gain"], 0.0),
            _numbers(read["inclusion_probability"], 1.0),
            is_certain=_flags(is_certain),
            is_certain_too=certain_too,
            draws=self.draws,
        )
        self.tally.certain_too += int((certain_too & (round_ids != NO_ROUND)).sum())
        distinct, place = np.unique(round_ids, return_inverse=True)
        ends = [0 if one == NO_ROUND else self.draws[one].prefix for one in distinct.tolist()]
        in_prefix = _flags(is_certain) | (positions < np.array(ends, dtype=np.int64)[place])
        return {
            "split": pc.if_else(read["held_out"], EVALUATION, TRAIN),
            "stratum": pc.coalesce(
                read["round_stratum"], pc.if_else(is_certain, CERTAIN, read["case_kind"])
            ),
            "in_prefix": pa.array(in_prefix),
            "weight": pa.array(weight),
            "inclusion_probability": pc.if_else(is_certain, 1.0, read["inclusion_probability"]),
        }

    def _resolved(self, read: Columns) -> Columns:
        """What a resolved case says; content only where training consent lets it leave."""
        told: Columns = {}
        if self.dataset.label_rule == "single":
            has_first, first = pc.is_valid(read["first"]), _Parsed(read["first"])
            for name, type_ in (("violation", pa.bool_()), ("form", pa.int64())):
                own = first.column(lambda one, name=name: one[name], type_)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                told[name] = pc.if_else(has_first, own, read[name])
            answers = first.column(lambda one: json.dumps(one["answers"]), pa.string())
            told["answers"] = pc.if_else(has_first, answers, read["answers"])
            told["label_rule"] = pc.if_else(has_first, "single", read["label_rule"])
            told["n_verdicts"] = pc.if_else(has_first, 1, read["n_verdicts"])
            told["agreement"] = pc.if_else(
                has_first, pa.scalar(None, pa.float64()), read["agreement"]
            )
        if self.dataset.kind in WITH_CONTENT:
            for name in ("input", "output"):
                told[name] = _where(read["may_train"], read[name])
            emptied = read["may_train"].false_count
            self.tally.emptied["content_without_training_consent"] += emptied
        return told

    def _judged(self, read: Columns) -> Columns:
        """What one verdict says. The counted verdicts of a case share its weight."""
        resolution = _Parsed(read["resolution"], _NO_RESOLUTION)
        counted = _flags(resolution.column(lambda one: one["is_counted"], pa.bool_()))
        n_counted = _numbers(resolution.column(lambda one: one["n_counted"], pa.int64()), 0)
        weight = read["weight"].to_numpy()
        is_human = pc.equal(read["ai_rater"], "")
        person = pc.fill_null(read["reviewer_id"], "None")
        return {
            "is_counted": pa.array(counted),
            "is_human": is_human,
            "reviewer": pc.if_else(
                is_human, _distinctly(person, self._pseudonym, pa.string()), read["ai_rater"]
            ),
            "label_rule": _constant("single", len(is_human)),
            "n_verdicts": resolution.column(lambda one: one["n_verdicts"], pa.int64()),
            "agreement": resolution.column(lambda one: one["agreement"], pa.float64()),
            "weight": pa.array(np.where(counted, weight / np.where(counted, n_counted, 1), 0.0)),
            **self._noted(read),
        }

    def _noted(self, read: Columns) -> Columns:
        """Note and texts, where consent and erasure leave them."""
        texts = _distinctly(read["texts"], _canonical_or_none, pa.string())
        told = _flags(pc.fill_null(pc.not_equal(read["note"], ""), False))
        told = told | _flags(pc.is_valid(texts))
        may_train = _flags(read["may_train"])
        erased = may_train & _flags(pc.is_valid(read["note_erased_at"]))
        self.tally.emptied["note_without_training_consent"] += int((told & ~may_train).sum())
        self.tally.emptied["erased_note"] += int((told & erased).sum())
        shown = pa.array(may_train & ~erased)
        return {"note": _where(shown, read["note"]), "texts": _where(shown, texts)}

    def _pseudonym(self, person: str) -> str:
        return content_hmac(self.dataset.project, f"reviewer:{person}".encode())[:_PSEUDONYM]

    def _labelled(self, made: Columns) -> Columns:
        """The label, and the versions and clauses that it rests on."""
        forms = self.labels.forms
        form, violation = made["form"], made["violation"]
        answers = made["answers"].dictionary_encode()
        decoded = [json.loads(text) for text in answers.dictionary.to_pylist()]
        firsts, places = distinct_rows(form, violation, answers.indices)
        labels = [
            self.labels.label(
                form[i].as_py(), violation[i].as_py(), decoded[answers.indices[i].as_py()]
            )
            for i in firsts.tolist()
        ]
        clauses = None
        if self.dataset.kind == RAW:
            clauses = _distinctly(made["clause_hashes"], _canonical_or_none, pa.string())
        if clauses is None or clauses.null_count:
            stated = _distinctly(form, lambda one: _canonical(forms[one].clauses), pa.string())
            clauses = stated if clauses is None else pc.coalesce(clauses, stated)
        canonical = pa.array([_canonical(one) for one in decoded], pa.string())
        return {
            "label": pa.array(labels, self.schema.field("label").type).take(pa.array(places)),
            "policy_version": _distinctly(form, lambda v: forms[v].policy_number, pa.int64()),
            "rubric_version": _distinctly(form, lambda v: forms[v].number, pa.int64()),
            "rubric_digest": _distinctly(form, lambda v: forms[v].digest, pa.string()),
            "clause_hashes": clauses,
            "answers": canonical.take(answers.indices),
        }


class _Parsed:
    """A column of JSON, parsed once for each distinct value."""

    def __init__(self, column: pa.Array, null: Any = None) -> None:
        self._null = null
        filled = pc.fill_null(column, "null").dictionary_encode()
        self._places = filled.indices
        self._values = [json.loads(text) for text in filled.dictionary.to_pylist()]

    def column(self, of: Callable[[Any], Any], type_: pa.DataType) -> pa.Array:
        """`of` each value as a column; NULL, or the stand-in taken for it, where it is NULL."""
        values = [self._null if value is None else value for value in self._values]
        found = [None if value is None else of(value) for value in values]
        return pa.array(found, type_).take(self._places)


def _distinctly(column: pa.Array, of: Callable[[Any], Any], type_: pa.DataType) -> pa.Array:
    """`of` each value, called once for each distinct one; NULL stays NULL."""
    encoded = column.dictionary_encode()
    values = [of(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(values, type_).take(encoded.indices)


def _canonical(value: Any) -> str:
    return codec.canonical(value).decode()


def _canonical_or_none(text: str) -> str | None:
    value = json.loads(text)
    return _canonical(value) if value else None


def _where(shown: pa.Array, column: pa.Array) -> pa.Array:
    return pc.if_else(shown, column, pa.scalar(None, column.type))


def _as(column: pa.Array, type_: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(type_) and column.type != type_:
        return pc.floor_temporal(column, unit="millisecond").cast(type_, safe=False)
    return column.cast(type_)


def _constant(text: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), n)


def _flags(column: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = column.to_numpy(zero_copy_only=False)
    return found


def _numbers(column: pa.Array, null: float) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = pc.fill_null(column, null).to_numpy()
    return found
