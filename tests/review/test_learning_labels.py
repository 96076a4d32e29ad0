"""Labels as arrays: what the product may learn from, and what it leaves out and counts."""

import numpy as np
import pytest

from oversight.tenancy.actors import system_actor
from review.models import Case, CaseEvidence, SamplingRound
from review.selectors.learning_labels import labels_of, n_resolved_since
from review.services import cases, rounds
from scoring.models import InferenceRecord
from tests.factories import make_api, make_member, make_project
from tests.judging import rows_of
from tests.learning import judge, judge_at_once, publish_rules, stream

ERASED = "2026-01-01T00:00Z"
pytestmark = pytest.mark.django_db(transaction=True)


def test_labels_are_those_of_a_calibration_dataset(reviewer, owner, queue, send, export):
    send(stream(80))
    rounds.run(owner, queue=queue, budget=30)
    judge(reviewer, queue, 27)  # one stratum stays unfinished
    drawn = CaseEvidence.objects.filter(cases__selection__position=0).first()
    cases.escalate_record(owner, queue=queue, record_id=drawn.record_id, reason="a complaint")
    judge(reviewer, queue, 1)
    labels = labels_of(queue)
    rows = rows_of(export())
    assert len(labels) == len(rows)
    files = np.argsort(labels.held_out, kind="stable")  # one file per split
    assert [str(labels.record_ids[i]) for i in files] == [row["record_id"] for row in rows]
    assert labels.weight[files].tolist() == [row["weight"] for row in rows]
    assert labels.label[files].tolist() == [float(row["label"]) for row in rows]
    assert labels.held_out[files].tolist() == [row["split"] == "evaluation" for row in rows]
    assert labels.raw[files].tolist() == [row["raw_score"] for row in rows]
    names = {row["record_id"]: row["external_id"] for row in rows}
    truth = [names[str(record)].startswith("v-") for record in labels.record_ids]
    assert labels.label.tolist() == [float(violates) for violates in truth]
    assert not labels.left_out
    assert set(labels.segments) == {"model", "region", "tier", "month", "plan"}
    assert not (labels.teaching & labels.held_out).any()
    assert set(labels.groups) <= {
        bytes(group) for group in InferenceRecord.objects.values_list("group_hash", flat=True)
    }
    assert n_resolved_since(queue, 0) == len(labels)
    assert n_resolved_since(queue, int(labels.resolution_ids.max())) == 0


def test_weights_of_a_census_count_every_record_once(reviewer, owner, queue, send):
    send(stream(60))
    rounds.run(owner, queue=queue, budget=100)
    judge(reviewer, queue)
    labels = labels_of(queue)
    stream_round = SamplingRound.objects.get(queue=queue, stratum="stream")
    assert labels.weight[~labels.held_out].sum() == stream_round.n_candidates


def test_closed_and_erased_records_teach_nothing(reviewer, owner, queue, send):
    send(stream(60))
    rounds.run(owner, queue=queue, budget=40)
    judge(reviewer, queue)
    before = labels_of(queue)
    InferenceRecord.objects.filter(pk=before.record_ids[0]).update(may_review=False)
    InferenceRecord.objects.filter(pk=before.record_ids[1]).update(erased_at=ERASED)
    CaseEvidence.objects.filter(record_id=before.record_ids[2]).update(erased_at=ERASED)
    after = labels_of(queue)
    assert list(after.record_ids) == list(before.record_ids[3:])
    assert after.left_out == {"erased or closed to review": 3}


def test_a_dropped_partition_leaves_the_evidence_to_learn_from(reviewer, owner, queue, send):
    send(stream(40))
    rounds.run(owner, queue=queue, budget=20)
    judge(reviewer, queue)
    before = labels_of(queue)
    InferenceRecord.objects.all().delete()
    after = labels_of(queue)
    assert after.record_ids == before.record_ids
    assert set(after.groups) == {b""}


@pytest.mark.parametrize("change", ["change", "add"])
def test_a_changed_clause_is_not_pooled(reviewer, owner, queue, send, change):
    send(stream(60, share=0.7))  # so that of any fifteen some violate
    rounds.run(owner, queue=queue, budget=30)
    judge(reviewer, queue, 15)
    publish_rules(owner, **{change: "privacy" if change == "change" else "new-harm"})
    judge(reviewer, queue)
    labels = labels_of(queue)
    n_old = 15
    n_resolved = Case.objects.filter(state="resolved").count()
    if change == "change":
        assert labels.left_out == {"judged under other clauses": n_old}
        assert len(labels) == n_resolved - n_old
        assert not labels.positives_only.any()
    else:  # an old violation stands, an old "no violation" is unknown
        assert len(labels) == n_resolved
        assert labels.positives_only.sum() == n_old
        assert set(labels.label[labels.positives_only & ~np.isnan(labels.label)]) == {1.0}
        assert not (labels.known & labels.positives_only).any()


def test_other_projects_and_queues_teach_nothing(reviewer, owner, queue, send):
    send(stream(30))
    rounds.run(owner, queue=queue, budget=10)
    judge(reviewer, queue)
    stranger = make_project()
    assert len(labels_of(stranger.queues.get())) == 0
    assert len(labels_of(queue)) > 0


def test_answers_written_at_once_are_those_of_the_services(reviewer, owner, queue, send):
    """What tests of learning stand on is what reviewers would have left behind."""
    send(stream(40, share=0.4))
    rounds.run(owner, queue=queue, budget=100)
    judge_at_once(reviewer, queue)
    at_once = labels_of(queue)
    other = make_project()
    send_to(other, stream(40, share=0.4))
    theirs = other.queues.get()
    rounds.run(system_actor(other), queue=theirs, budget=100)
    judge(make_member(other), theirs)
    given = labels_of(theirs)
    assert len(at_once) > 30
    for name in ("weight", "positives_only", "known"):
        mine = getattr(at_once, name)[~at_once.held_out]
        own = getattr(given, name)[~given.held_out]
        assert set(mine.tolist()) == set(own.tolist())
    names = InferenceRecord.objects.in_bulk([*at_once.record_ids, *given.record_ids])
    for labels in (at_once, given):
        said = [names[record].external_id.startswith("v-") for record in labels.record_ids]
        assert labels.label.tolist() == [float(violates) for violates in said]


def send_to(project, records):
    make_api(project).post("records", {"records": records})
