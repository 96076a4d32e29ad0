"""Rows as bytes of a binary COPY, and decisions by columns, against the slow and obvious way."""

import json
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.db import connection

from oversight.tenancy.actors import system_actor
from scoring.core.judgement import Judge, batch_of, with_invariants
from scoring.core.scorers.batches import without_fingerprints
from scoring.core.scorers.contract import OTHER, Reason, RecordBatch
from scoring.core.scorers.ensemble_fit import fit_ensemble
from scoring.core.scorers.ensemble_v1 import EnsembleV1
from scoring.core.scorers.percentile_fit import fit_percentile
from scoring.core.scorers.percentile_v1 import PercentileV1
from scoring.intake import decoding, fingerprints
from scoring.models import Action
from scoring.services import scorers, scoring
from scoring.storage import binary
from scoring.storage.binary import Layout
from tests.factories import make_record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAYOUT = Layout(
    table="laid_out",
    fixed={"id": "V16", "n": ">i8", "x": ">f8", "small": ">i2", "yes": "u1", "at": ">i8"},
    varying=("maybe", "name", "raw", "data"),
)


@pytest.mark.django_db
def test_what_is_laid_out_by_columns_is_read_back_by_postgres():
    rng = np.random.default_rng(3)
    n = 200
    keys = [uuid.UUID(bytes=rng.bytes(16)) for _ in range(n)]
    moments = rng.integers(0, 2**41, n).tolist()
    rows = [
        (
            keys[i],
            int(rng.integers(-(2**62), 2**62)),
            float(rng.choice([rng.normal(), 0.0, 1e308, -5e-324, np.inf])),
            int(rng.integers(-(2**15), 2**15)),
            bool(rng.integers(2)),
            EPOCH + timedelta(milliseconds=moments[i]),
            None if i % 3 else float(rng.normal()),
            ("", "a", "Ω" * 40, "tab\tand\nline", "same")[i % 5],
            None if i % 7 == 0 else rng.bytes(i),
            {"n": i, "text": 'quote " and \\ ☃', "nested": [1.5, None]},
        )
        for i in range(n)
    ]
    columns = list(zip(*rows, strict=True))
    laid_out = LAYOUT.rows(
        n,
        fixed={
            "id": np.frombuffer(b"".join(key.bytes for key in keys), np.uint8),
            "n": columns[1],
            "x": columns[2],
            "small": columns[3],
            "yes": columns[4],
            "at": binary.timestamps(moments),
        },
        varying={
            "maybe": binary.float8(columns[6]),
            "name": binary.text(columns[7]),
            "raw": binary.raw(columns[8]),
            "data": binary.jsonb(json.dumps(value).encode() for value in columns[9]),
        },
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE laid_out (id uuid, n bigint, x float8, small smallint, yes boolean,"
            " at timestamptz, maybe float8, name text, raw bytea, data jsonb) ON COMMIT DROP"
        )
        with cursor.cursor.copy(LAYOUT.copy_statement.encode()) as copy:
            copy.write(laid_out)
        cursor.execute("SELECT id, n, x, small, yes, at, maybe, name, raw, data FROM laid_out")
        found = {
            row[0]: (*row[:8], None if row[8] is None else bytes(row[8]), json.loads(row[9]))
            for row in cursor.fetchall()
        }
    assert found == {row[0]: row for row in rows}


def batch(n, seed, *, has_all=True):
    rng = np.random.default_rng(seed)
    signals = {name: rng.normal(size=n) for name in ("a", "b", "c", "d", "e", "f")}
    if not has_all:
        signals["b"][::3] = np.nan
        signals["c"][:] = np.nan
    present = np.ones(n, np.bool_) if has_all else np.arange(n) % 4 > 0
    return RecordBatch(
        model="m",
        n=n,
        signals=signals,
        fingerprints=rng.normal(size=(n, 5)).astype(np.float32),
        has_fingerprint=present,
        context=[{"region": ("eu", "us")[i % 2]} for i in range(n)],
    )


def reasons_obviously(scored, i, top):
    """Row by row, as the contract tells it."""
    row = scored.contributions[i]
    order = np.argsort(-np.abs(row), kind="stable")
    n_listed = min(max(top, 1), max(int(np.count_nonzero(row)), 1), len(row))
    told = [
        Reason(
            scored.terms[j].kind,
            scored.terms[j].name,
            float(row[j]),
            scored.describe(np.array([i]), np.array([j]))[0],
        )
        for j in order[:n_listed]
    ]
    n_tail = int(np.count_nonzero(row[order[n_listed:]]))
    if n_tail:
        rest = float(scored.raw[i]) - sum(reason.contribution for reason in told)
        terms = "term" if n_tail == 1 else "terms"
        told.append(Reason(OTHER, OTHER, rest, f"{n_tail} smaller {terms} together"))
    if scored.weight[i] > 1.0:
        detail = f"the tier is chosen as if this were {scored.weight[i]:g} times as rare"
        told.append(Reason("context", "weight", 0.0, detail))
    return told


@pytest.mark.parametrize("top", [1, 3, 5, 50])
@pytest.mark.parametrize("kind", ["ensemble", "percentile"])
def test_a_batch_is_explained_as_its_rows(kind, top):
    settings = {"context_weights": {"region": {"eu": 2.0}}}
    settings["signals"] = {
        name: {"direction": ("high", "low", "both")[i % 3]} for i, name in enumerate("abcdef")
    }
    if kind == "ensemble":
        scorer = EnsembleV1(fit_ensemble([batch(900, 1)], config=settings))
    else:
        scorer = PercentileV1(fit_percentile([batch(900, 1)], config=settings))
    scored = scorer.score(batch(40, 2, has_all=False))
    explained = scored.explanations(top)
    assert len(explained) == 40
    for i, told in enumerate(explained):
        assert told == reasons_obviously(scored, i, top) == scored.reasons(i, top)


def document():
    return {
        "language": 1,
        "invariants": [
            {
                "key": f"no-{term}",
                "title": f"Never says {term}",
                "clause": "words",
                "severity": severity,
                "effect": effect,
                "weight": 0.5,
                "condition": {"none": [{"check": "terms", "terms": [term]}]},
            }
            for term, severity, effect in (
                ("alpha", "low", {"kind": "flag"}),
                ("beta", "high", {"kind": "replace", "text": "Something else."}),
                ("gamma", "critical", {"kind": "block"}),
            )
        ],
    }


@pytest.mark.parametrize("n_dimensions", [5, 4])
def test_decisions_by_columns_are_the_judgements_of_the_rows(project, n_dimensions):
    """Also where no fingerprint can be compared, for its length."""
    settings = {"context_weights": {"region": {"eu": 2.0}}, "review_from_tier": 2}
    state = with_invariants(fit_ensemble([batch(900, 1)], config=settings), document())
    version = scorers.propose(system_actor(project), state=state, baseline={})
    rng = np.random.default_rng(4)
    records = []
    for i in range(60):
        words = ["alpha", "beta", "gamma", "calm"]
        said = " ".join(word for word in words if rng.random() < 0.2) or "nothing"
        record = make_record(i, output=said, context={"region": ("eu", "us")[i % 2]})
        record["signals"] = {name: float(rng.normal() * (1 + 5 * (i % 7 == 0))) for name in "abc"}
        record["model"] = {"name": "m", "version": "1"}
        if i % 3:
            record["fingerprint"] = rng.normal(size=n_dimensions).tolist()
        records.append(record)
    decoded = decoding.decode_batch([json.dumps(record).encode() for record in records])
    subjects = []
    for record in decoded:
        packed, dimension = (
            (None, None) if record.fingerprint is None else fingerprints.pack(record.fingerprint)
        )
        subjects.append(
            scoring.Subject("m", record.signals, record.context, packed, dimension, record)
        )
    decided = scoring.decide(version.pk, subjects)
    judge = Judge(state)
    rows = batch_of(records)
    is_comparable = n_dimensions == 5
    judged = judge.judge(rows if is_comparable else without_fingerprints(rows), records)
    assert {decision.action for decision in decided} == set(Action)
    for decision, judgement, record in zip(decided, judged, records, strict=True):
        told = json.loads(decision.reasons)
        expected = [reason._asdict() for reason in judgement.reasons]
        action = int(judgement.action)
        if not is_comparable and "fingerprint" in record:
            action = max(action, int(Action.REVIEW))
            assert told.pop()["kind"] == "unscorable"
        assert [{**reason, "contribution": 0} for reason in told] == [
            {**reason, "contribution": 0} for reason in expected
        ]
        assert [r["contribution"] for r in told] == pytest.approx(
            [r["contribution"] for r in expected], abs=1e-9
        )
        assert decision.raw == pytest.approx(judgement.raw, abs=1e-9)
        assert decision.score == pytest.approx(judgement.score, abs=1e-9)
        assert (decision.tier, int(decision.action)) == (judgement.tier, action)
        assert (decision.p_violation, decision.weight) == (judgement.p_violation, judgement.weight)
        asked = judgement.intervention
        assert (decision.intervention and json.loads(decision.intervention)) == (
            asked and {k: v for k, v in asdict(asked).items() if v is not None}
        )
