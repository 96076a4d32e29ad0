"""Rounds drawn by what verdicts taught: versions, updates, rollback, and drawing them again."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest

from oversight.lib import errors
from review.beliefs import learning, lessons
from review.beliefs.head import head_of
from review.models import CaseEvidence, CaseResolution, PosteriorVersion, SamplingRound, Selection
from review.services import cases, posteriors, rounds, verdicts, verification
from scoring.models import InferenceRecord, RecordPayload
from tests.beliefs import DIMENSION, is_bad, judge, number_of, records
from tests.factories import make_record


@pytest.fixture
def taught(owner, queue, send):
    """A queue whose first round was judged to its end; returns the posterior."""
    queue.floor = 0.1
    queue.save()
    send(records(0, 150))
    rounds.run(owner, queue=queue, budget=30)
    judge(owner, queue)
    return posteriors.refresh(owner, queue=queue)


def in_use(queue):
    return PosteriorVersion.objects.filter(queue=queue, status="in_use").get()


def outcomes(made):
    return {verification.verify_round(one).outcome for one in made}


def test_verdicts_make_a_posterior_and_rounds_are_drawn_by_it(owner, queue, send, taught):
    assert (taught.number, taught.kind, taught.head) == (1, "refit", "violation")
    assert taught.n_verdicts == CaseEvidence.objects.filter(held_out=False).count()
    send(records(200, 500))
    drawn = rounds.run(owner, queue=queue, budget=40)
    stream = next(made for made in drawn if made.stratum == "stream")
    assert stream.posterior_version == 1
    floors = {made.stratum: made.floor for made in drawn}
    assert floors == {"stream": 0.1, "evaluation": 0.5}  # held-out answers do not teach
    assert stream.base_rate == taught.base_rate
    assert outcomes(drawn) == {"full"}
    chosen = CaseEvidence.objects.filter(
        record_id__in=stream.selections.values_list("record_id", flat=True)
    )
    found = sum(is_bad(number_of(row.external_id)) for row in chosen)
    assert found >= 22  # a third of the records violate; 40 were drawn, four of them by the floor
    selection = stream.selections.first()
    assert selection.bald > 0
    assert selection.surprisal > 0


def test_a_cold_start_has_no_posterior(owner, queue, send):
    send(records(0, 40))
    queue.floor = 0.1
    drawn = rounds.run(owner, queue=queue, budget=10)
    assert {made.floor for made in drawn} == {0.5}  # until verdicts have taught
    assert {made.posterior_version for made in drawn} == {None}
    assert outcomes(drawn) == {"full"}
    assert posteriors.refresh(owner, queue=queue) is None


def test_a_few_verdicts_update_many_refit(owner, queue, send, taught):
    send(records(200, 400))
    rounds.run(owner, queue=queue, budget=30)
    judge(owner, queue, 4)
    updated = posteriors.refresh(owner, queue=queue)
    assert (updated.kind, updated.based_on, updated.space) == ("update", taught, taught.space)
    assert posteriors.refresh(owner, queue=queue) == updated
    anew = posteriors.refresh(owner, queue=queue, anew=True)
    assert anew.kind == "refit"
    assert anew.n_verdicts == updated.n_verdicts
    one, other = (learning.learnt_from_bytes(bytes(v.state)).posterior for v in (updated, anew))
    probe = np.random.default_rng(0).normal(size=(200, one.mean.size))
    assert np.corrcoef(one.moments(probe)[0], other.moments(probe)[0])[0, 1] > 0.98
    judge(owner, queue)
    assert posteriors.refresh(owner, queue=queue).kind == "refit"


def test_a_correction_fits_anew(owner, queue, taught):
    verdict = CaseResolution.objects.latest("pk").case.verdicts.get()
    flipped = {**verdict.answers, "violation": not verdict.violation}
    verdicts.supersede(owner, verdict_id=verdict.pk, answers=flipped)
    again = posteriors.refresh(owner, queue=queue)
    if CaseEvidence.objects.get(cases__verdicts=verdict).held_out:
        assert again == taught
    else:
        assert again.kind == "refit"
        assert abs(again.n_violations - taught.n_violations) == 1


def test_what_is_held_out_or_erased_teaches_nothing(owner, queue, taught):
    head = head_of(queue)
    found = lessons.read(queue, head)
    ids = {one.evidence for one in found}
    assert not CaseEvidence.objects.filter(pk__in=ids, held_out=True).exists()
    gone = CaseEvidence.objects.filter(pk__in=ids).first()
    CaseEvidence.objects.filter(pk=gone.pk).update(erased_at=datetime.now(UTC))
    again = posteriors.refresh(owner, queue=queue)
    assert (again.kind, again.n_verdicts) == ("refit", taught.n_verdicts - 1)
    CaseEvidence.objects.update(erased_at=datetime.now(UTC))
    assert posteriors.refresh(owner, queue=queue) is None
    assert not PosteriorVersion.objects.filter(status="in_use").exists()
    with pytest.raises(errors.Conflict, match="erased"):
        posteriors.put_in_use(owner, version=taught)


def test_rollback_holds_until_new_answers_come(owner, queue, send, taught):
    send(records(200, 400))
    rounds.run(owner, queue=queue, budget=30)
    judge(owner, queue, 12)
    second = posteriors.refresh(owner, queue=queue)
    posteriors.put_in_use(owner, version=taught)
    assert in_use(queue).number == taught.number
    assert posteriors.refresh(owner, queue=queue).number == taught.number
    assert posteriors.refresh(owner, queue=queue, anew=True).number == taught.number
    with pytest.raises(errors.Conflict):
        posteriors.put_in_use(owner, version=in_use(queue))
    judge(owner, queue)
    third = posteriors.refresh(owner, queue=queue)
    assert third.number == second.number + 1
    assert third.n_verdicts > second.n_verdicts  # from all data, not only what came since


def test_changed_clauses_start_cold(owner, queue, send, taught, monkeypatch):
    monkeypatch.setattr(
        "review.services.posteriors.head_of",
        lambda queue: type(head_of(queue))("violation", {"harm": "another digest"}),
    )
    assert posteriors.refresh(owner, queue=queue) is None


def test_disputed_answers_are_soft_targets():
    lesson = lessons.Lesson(1, [4, 7], [1.0, 0.5])
    assert (lesson.target, lesson.newest) == (0.75, 7)
    assert lessons._target("tie", None, [True, False, None]) == 0.5
    assert lessons._target("adjudicated", True, [True, False, False]) == 1.0
    assert lessons._target("majority", True, [None, None]) is None


def test_one_class_is_defined(owner, queue, send):
    send(records(0, 60))
    rounds.run(owner, queue=queue, budget=20)
    judge(owner, queue, says=lambda evidence: False)
    send(records(100, 160))
    drawn = rounds.run(owner, queue=queue, budget=10)
    assert drawn[0].posterior_version == 1
    assert outcomes(drawn) == {"full"}


def test_constant_features_and_no_fingerprints(owner, queue, send):
    same = {"signals": {"risk": 0.5}, "fingerprints": False}
    send(records(0, 60, **same))
    rounds.run(owner, queue=queue, budget=20)
    judge(owner, queue)
    send(records(100, 160, **same))
    drawn = rounds.run(owner, queue=queue, budget=10)
    assert drawn[0].posterior_version == 1
    assert outcomes(drawn) == {"full"}


def test_models_of_other_dimensions_and_wide_fingerprints(owner, queue, send, taught):
    other = records(200, 240, model={"name": "other", "version": "9"})
    for index, record in enumerate(other):
        record["fingerprint"] = [float(index), 1.0, 2.0]
    wide = records(300, 340)
    for record in wide[::4]:
        values = np.array([1e6, *range(1, DIMENSION)], dtype="<f4")
        record["fingerprint"] = {
            "dtype": "float32",
            "data": base64.b64encode(values.tobytes()).decode(),
        }
    send(other + wide + records(400, 440, fingerprints=False))
    assert any(
        len(bytes(row)) == 4 * DIMENSION
        for row in RecordPayload.objects.exclude(fingerprint=None).values_list(
            "fingerprint", flat=True
        )
    )
    drawn = rounds.run(owner, queue=queue, budget=60)
    assert drawn[0].posterior_version == 1
    assert outcomes(drawn) == {"full"}
    judge(owner, queue)
    assert posteriors.refresh(owner, queue=queue).n_verdicts > taught.n_verdicts


def test_escalated_records_teach_without_moving_the_rate(owner, queue, send, taught):
    ids = send(records(200, 230))["results"]
    bad = [one["id"] for one, index in zip(ids, range(200, 230), strict=True) if is_bad(index)]
    for record in bad:
        cases.escalate_record(owner, queue=queue, record_id=UUID(record), reason="a complaint")
    judge(owner, queue)
    found = {one.escalated for one in lessons.read(queue, head_of(queue))}
    assert found == {True, False}
    version = posteriors.refresh(owner, queue=queue)
    learnt = learning.learnt_from_bytes(bytes(version.state))
    assert learnt.posterior.mean[-1] > 0  # escalated records violate more often than they look


def test_erased_candidates_leave_the_selections_verified(owner, queue, send, taught):
    send(records(200, 300))
    stream = next(
        made for made in rounds.run(owner, queue=queue, budget=10) if made.stratum == "stream"
    )
    chosen = stream.selections.values_list("record_id", flat=True)
    batches = stream.window.batches.values_list("pk", flat=True)
    candidates = InferenceRecord.objects.filter(batch__in=batches, held_out=False)
    gone = candidates.exclude(pk__in=chosen).first()
    InferenceRecord.objects.filter(pk=gone.pk).update(erased_at=datetime.now(UTC))
    RecordPayload.objects.filter(pk=gone.pk).delete()
    result = verification.verify_round(stream)
    assert (result.outcome, result.n_missing) == ("selections only", 1)


def test_a_damaged_posterior_is_not_used(owner, queue, taught):
    version = PosteriorVersion(
        **{f.attname: getattr(taught, f.attname) for f in taught._meta.concrete_fields}
    )
    version.digest = "0" * 64
    version.space = taught.space
    with pytest.raises(errors.Unavailable):
        posteriors.load(version)


def test_a_tampered_selection_is_found(owner, queue, send, taught):
    send(records(200, 260))
    stream = rounds.run(owner, queue=queue, budget=10)[0]
    stream.tau = stream.tau * 1.5 + 1
    assert verification.verify_round(stream).outcome == "different"


def test_near_duplicates_do_not_fill_a_round(owner, queue, send, taught):
    queue.floor = 0.01
    queue.save()
    copies = []
    for index in range(600, 660):
        vector = np.full(DIMENSION, 2.5) + np.random.default_rng(index).normal(0, 1e-3, DIMENSION)
        copies.append(
            make_record(index, fingerprint=vector.round(4).tolist(), signals={"risk": 4.0})
        )
    send(copies + records(700, 900))
    stream = rounds.run(owner, queue=queue, budget=20)[0]
    chosen = CaseEvidence.objects.filter(
        record_id__in=stream.selections.values_list("record_id", flat=True)
    )
    n_copies = sum(600 <= number_of(row.external_id) < 660 for row in chosen)
    assert n_copies <= 9  # one, most often; without the discount they would be nearly all
    assert max(stream.selections.values_list("multiplicity", flat=True)) >= 1
    assert outcomes([stream]) == {"full"}


def test_no_discount_goes_below_the_least_gain(owner, queue, send, taught):
    """At a small τ the discount of many copies would end far below zero."""
    queue.floor, queue.tau = 0.01, 0.2
    queue.save()
    vector = np.full(DIMENSION, 2.5)
    send(
        [
            make_record(i, fingerprint=vector.tolist(), signals={"risk": 4.0})
            for i in range(600, 660)
        ]
        + records(700, 720)
    )
    stream = rounds.run(owner, queue=queue, budget=20)[0]
    copies = stream.selections.filter(multiplicity__gt=10)
    assert {one.gain for one in copies} == {stream.least_gain} == {0.0}
    assert all(one.gain >= 0 for one in stream.selections.all())
    assert outcomes([stream]) == {"full"}
    stream.least_gain = None  # as if it had been drawn without a limit
    assert outcomes([stream]) == {"different"}


def test_word_for_word_copies_without_fingerprints_share_their_chance(project, owner, queue, send):
    project.held_out_share = 0  # copies are one group: all of them would be held out at once
    project.save()
    said = {"input": "again", "output": "again"}
    send([make_record(i, **said) for i in range(50)] + [make_record(i) for i in range(50, 100)])
    stream = rounds.run(owner, queue=queue, budget=10)[0]
    assert outcomes([stream]) == {"full"}
    picked = Selection.objects.filter(round=stream)
    copies = stream.window.batches.values_list("pk", flat=True)
    held = InferenceRecord.objects.filter(batch__in=copies, held_out=False)
    n_copies = sum(number_of(row.external_id) < 50 for row in held)
    assert {one.multiplicity for one in picked} <= {1.0, float(n_copies)}
    # a uniform round discounts in full all the same, down to the least gain
    told = {one.multiplicity: one.gain for one in picked}
    assert told[1.0] == pytest.approx(np.log(n_copies))
    assert told.get(float(n_copies), 0.0) == pytest.approx(0.0, abs=1e-6)


def test_rounds_store_what_they_rest_on(owner, queue, send, taught):
    send(records(200, 260))
    rounds.run(owner, queue=queue, budget=10)
    made = SamplingRound.objects.filter(queue=queue, stratum="stream").latest("pk")
    assert made.effective_size == queue.effective_size
    assert made.scorer_version == taught.space.scorer_version
