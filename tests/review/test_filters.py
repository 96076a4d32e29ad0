"""Queue filters: the query finds what a plain reading of the filter finds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversight.lib.errors import InvalidInput
from review.filters import check_filter, to_q
from scoring import ids
from scoring.models import Action, InferenceRecord, ModelVersion
from scoring.storage import partitions

START = datetime(2026, 10, 20, tzinfo=UTC)
MODELS = [("assistant", "1"), ("assistant", "2"), ("summariser", "1")]
CONTEXTS = [{}, {"language": "en"}, {"language": "de", "minor": True}, {"minor": 1}, {"n": 2.0}]


@pytest.fixture
def records(world):
    """Records that differ in everything that a filter can name."""
    partitions.ensure([START])
    versions = [
        ModelVersion.objects.create(
            project=world.project, name=name, version=version, digest=bytes([number])
        )
        for number, (name, version) in enumerate(MODELS)
    ]
    rows = []
    for number in range(60):
        moment = START + timedelta(minutes=number)
        rows.append(
            InferenceRecord(
                id=ids.record_id(world.project.pk, str(number), moment),
                project=world.project,
                batch_id=1,
                model_version=versions[number % 3],
                scorer_version_id=1,
                external_id=str(number),
                occurred_at=moment,
                region=["eu", "us", ""][number % 7 % 3],
                context=CONTEXTS[number % 5],
                raw=0,
                score=number / 60,
                tier=number % 11 % 5,
                action=number % 13 % 3,
                held_out=False,
                may_review=True,
                may_train=False,
                group_hash=b"",
                content_hash=b"",
            )
        )
    return InferenceRecord.objects.bulk_create(rows)


def listed(value):
    return value if isinstance(value, list) else [value]


def same(left, right):
    return isinstance(left, bool) is isinstance(right, bool) and left == right


def fits(record, record_filter):
    """The filter, read plainly."""
    checks = {
        "model": lambda value: record.model_version.name in listed(value),
        "version": lambda value: record.model_version.version in listed(value),
        "region": lambda value: record.region in listed(value),
        "action": lambda value: Action(record.action).label in listed(value),
        "tier_min": lambda value: record.tier >= value,
        "score_min": lambda value: record.score >= value,
        "score_max": lambda value: record.score <= value,
        "context": lambda value: all(
            name in record.context and any(same(record.context[name], v) for v in listed(wanted))
            for name, wanted in value.items()
        ),
    }
    return all(checks[name](value) for name, value in record_filter.items())


@pytest.mark.parametrize(
    "record_filter",
    [
        {},
        {"model": "assistant"},
        {"model": ["assistant", "summariser"], "version": "1"},
        {"model": "unknown"},
        {"region": ["eu", ""]},
        {"action": ["review", "intervene"]},
        {"tier_min": 3},
        {"tier_min": 0},
        {"score_min": 0.25, "score_max": 0.5},
        {"context": {"language": ["en", "de"]}},
        {"context": {"minor": True}},
        {"context": {"minor": 1}},
        {"context": {"n": 2}},
        {"context": {"language": "de", "minor": True}, "tier_min": 1, "region": "us"},
        {"context": {"a__b": "x"}},
    ],
)
def test_the_query_finds_what_the_filter_says(world, records, record_filter):
    checked = check_filter(record_filter)
    found = InferenceRecord.objects.filter(to_q(world.project, checked), project=world.project)
    assert {row.external_id for row in found} == {
        row.external_id for row in records if fits(row, record_filter)
    }


def test_models_of_another_project_are_not_meant(world, records, other_world):
    found = InferenceRecord.objects.filter(to_q(other_world.project, {"model": "assistant"}))
    assert not found.exists()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_NAMES = ["model", "version", "region", "action", "tier_min", "score_min", "score_max", "context"]


@given(st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=6), _JSON, max_size=4))
def test_whatever_comes_is_refused_with_a_path_or_stays_itself(raw):
    refused = []
    try:
        checked = check_filter(raw)
    except InvalidInput as error:
        refused = [found.path for found in error.errors]
        assert refused
    else:
        assert checked == raw
        assert set(checked) <= set(_NAMES)
    assert all(path.startswith("filter") for path in refused)


def test_an_unchecked_filter_never_becomes_a_query(world):
    with pytest.raises(ValueError, match="unchecked"):
        to_q(world.project, {"project__hash_key": "x"})
