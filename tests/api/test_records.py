"""`POST records` and reading records back, at the HTTP surface."""

import base64
import gzip
import json

import numpy as np
import pytest

from oversight.audit.models import AuditEvent
from scoring.api import records
from scoring.intake.room import CAPACITY_BYTES, SMALL_BYTES
from scoring.models import InferenceRecord, IngestBatch, RecordPayload
from tests.factories import make_api, make_project, make_record

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 20).decode()


def ndjson(records):
    return b"\n".join(json.dumps(record).encode() for record in records)


def test_a_batch_is_accepted_and_stored_once(project, api, send):
    first = send(3)
    assert (first["accepted"], first["duplicates"], first["rejected"]) == (3, 0, 0)
    assert [result["status"] for result in first["results"]] == ["accepted"] * 3
    batch = [make_record(i) for i in range(3)]
    again = api.post("records", {"records": batch})
    # make_record stamps by the clock: the same identities need the same times
    stored = InferenceRecord.objects.of(project).count()
    assert stored == RecordPayload.objects.count() == 3 + again.json()["accepted"]


def test_a_replay_adds_nothing_and_answers_the_same(project, api):
    batch = {"records": [make_record(i) for i in range(5)]}
    first = api.post("records", batch).json()
    again = api.post("records", batch).json()
    assert (again["accepted"], again["duplicates"]) == (0, 5)
    for before, after in zip(first["results"], again["results"], strict=True):
        assert {**before, "status": ""} == {**after, "status": ""}
    assert InferenceRecord.objects.of(project).count() == 5
    assert IngestBatch.objects.filter(project=project).count() == 1


def test_other_content_under_the_same_identity_is_a_conflict(api):
    record = make_record()
    api.post("records", {"records": [record]})
    answer = api.post("records", {"records": [record | {"output": "something else"}]})
    assert answer.status_code == 422
    (result,) = answer.json()["results"]
    assert (result["status"], result["errors"][0]["code"]) == ("rejected", "conflict")


def test_twins_within_a_batch(api):
    record = make_record()
    answer = api.post("records", {"records": [record, record, record | {"output": "x"}]}).json()
    assert [r["status"] for r in answer["results"]] == ["accepted", "duplicate", "rejected"]


def test_bad_records_do_not_sink_their_siblings(project, api):
    batch = [make_record(i) for i in range(20)]
    batch[3]["signals"] = {"toxicity": "high"}
    del batch[7]["input"]
    batch[11]["occurred_at"] = "2020-01-01T00:00:00Z"
    answer = api.post("records?results=rejected", {"records": batch}).json()
    assert (answer["accepted"], answer["rejected"]) == (17, 3)
    told = {r["index"]: (r["external_id"], r["errors"][0]["path"]) for r in answer["results"]}
    assert told == {
        3: ("r-3", "signals.toxicity"),
        7: ("r-7", "input"),
        11: ("r-11", "occurred_at"),
    }
    assert InferenceRecord.objects.of(project).count() == 17


# What is refused, at which path and with which code: one plain row each.
REFUSED = {
    "unknown field": ({"sginals": {}}, "sginals", "unknown_field"),
    "NUL in text": ({"input": "a\x00b"}, "input", "unstorable_text"),
    "lone surrogate": ({"output": "\ud800"}, "", "not_json"),
    "empty external id": ({"external_id": ""}, "external_id", "length"),
    "long external id": ({"external_id": "x" * 201}, "external_id", "length"),
    "no offset": ({"occurred_at": "2026-10-20T00:00:00"}, "occurred_at", "invalid"),
    "year 1": ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at", "out_of_range"),
    "year 9999": ({"occurred_at": "9999-12-31T23:59:59Z"}, "occurred_at", "in_the_future"),
    "signal is true": ({"signals": {"a": True}}, "signals.a", "invalid"),
    "too many signals": ({"signals": {str(i): 1 for i in range(65)}}, "signals", "length"),
    "context is a list": ({"context": {"a": [1]}}, "context.a", "invalid"),
    "huge context number": ({"context": {"a": 2**60}}, "context.a", "out_of_range"),
    "no model version": ({"model": {"name": "m"}}, "model.version", "required"),
    "decoder is a list": (
        {"model": {"name": "m", "version": "1", "decoder": [1]}},
        "model.decoder",
        "invalid",
    ),
    "decoder is long": (
        {"model": {"name": "m", "version": "1", "decoder": {"stop": "x" * 2**16}}},
        "model.decoder",
        "length",
    ),
    "fingerprint not base64": (
        {"fingerprint": {"dtype": "float16", "data": "%%"}},
        "fingerprint.data",
        "not_base64",
    ),
    "fingerprint cut off": (
        {"fingerprint": {"dtype": "float32", "data": base64.b64encode(b"abc").decode()}},
        "fingerprint.data",
        "length",
    ),
    "image is not one": (
        {
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "image", "media_type": "image/jpeg", "data": PNG}],
                }
            ]
        },
        "input[0].content[0].data",
        "not_this_image",
    ),
    "unknown part": (
        {"input": [{"role": "user", "content": [{"type": "video"}]}]},
        "input[0].content[0].type",
        "invalid",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(api, name):
    change, path, code = REFUSED[name]
    answer = api.post("records", {"records": [make_record() | change]})
    assert answer.status_code == 422
    (error,) = answer.json()["results"][0]["errors"]
    assert error["path"] == path
    if code is not None:
        assert error["code"] == code


SETTINGS = b'{"temperature": 0.7, "stop": {"a": "\\u00e9", "b": [1e2, 12345678901234567890123]}}'


@pytest.mark.parametrize(
    ("spelled", "status"),
    [
        ('{"stop":{"b":[1e2,12345678901234567890123],"a":"é"},"temperature":0.7}', "duplicate"),
        (SETTINGS.decode().replace(": ", ":\n\t"), "duplicate"),
        (SETTINGS.decode().replace("0.7", "0.70000000000000000001"), "rejected"),
        (SETTINGS.decode().replace("8901234", "8901235"), "rejected"),
        (SETTINGS.decode().replace('"b"', '"B"'), "rejected"),
    ],
)
def test_settings_of_a_decoder_are_compared_by_what_they_say(project, api, spelled, status):
    model = {"name": "m", "version": "1", "decoder": "SETTINGS"}
    record = json.dumps(make_record(0, model=model)).encode()
    for sent, expected in ((SETTINGS, "accepted"), (spelled.encode(), status)):
        body = b'{"records": [%s]}' % record.replace(b'"SETTINGS"', sent)
        (result,) = api.post("records", body).json()["results"]
        assert result["status"] == expected
    assert project.model_versions.count() == (1 if status == "duplicate" else 2)
    stored = project.model_versions.order_by("pk").first().decoder
    assert stored == json.loads(SETTINGS)


def test_duplicate_keys_are_refused(api):
    raw = json.dumps(make_record())
    body = b'{"records": [{"external_id": "other", ' + raw[1:].encode() + b"]}"
    (result,) = api.post("records", body).json()["results"]
    assert result["errors"][0] == {
        "path": "external_id",
        "code": "duplicate_key",
        "message": "the key 'external_id' occurs twice",
    }


@pytest.mark.parametrize("poison", [b'"\\ud800"', b"NaN", b'"\xff"', b"1e999"])
def test_what_is_not_json_inside_one_record_is_refused_alone(api, poison):
    bad = json.dumps(make_record(1, external_id="bad", signals={"a": 0})).encode()
    bad = bad.replace(b'"a": 0', b'"a": ' + poison)
    body = b'{"records": [' + json.dumps(make_record(0)).encode() + b", " + bad + b"]}"
    answer = api.post("records", body).json()
    assert [r["status"] for r in answer["results"]] == ["accepted", "rejected"]


def test_text_that_looks_like_keys_is_text(api):
    record = make_record(input='{"a": 1, "a": 2} "x":', output='\\" : "')
    assert api.post("records", {"records": [record]}).json()["accepted"] == 1


def test_ndjson_gzip_and_packed_fingerprints(project, api):
    values = np.linspace(-1, 1, 8, dtype=np.float32)
    packed = {"dtype": "float32", "data": base64.b64encode(values.tobytes()).decode()}
    records = [make_record(0, fingerprint=packed), make_record(1, fingerprint=values.tolist())]
    answer = api(
        "post",
        "records",
        gzip.compress(ndjson(records) + b"\n\n"),
        content_type="application/x-ndjson",
        HTTP_CONTENT_ENCODING="gzip",
    )
    assert answer.json()["accepted"] == 2
    stored = RecordPayload.objects.values_list("fingerprint", flat=True)
    assert {bytes(row) for row in stored} == {values.astype("<f2").tobytes()}


def test_a_fingerprint_of_another_length_is_refused(api):
    api.post("records", {"records": [make_record(0, fingerprint=[1.0, 2.0])]})
    answer = api.post("records", {"records": [make_record(1, fingerprint=[1.0])]}).json()
    assert answer["results"][0]["errors"][0]["code"] == "wrong_length"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"not json", {}, 400),
        (b'{"records": []}', {}, 400),
        (b'{"records": 5}', {}, 400),
        (b'{"rows": []}', {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"x", {"content_type": "text/plain"}, 415),
        (b"{}", {"content_type": "application/json; charset=utf-7"}, 415),
        (b"junk", {"HTTP_CONTENT_ENCODING": "gzip"}, 400),
        (gzip.compress(b"a" * 500, mtime=0)[:-5], {"HTTP_CONTENT_ENCODING": "gzip"}, 400),
        (b"x", {"HTTP_CONTENT_ENCODING": "br"}, 415),
        (gzip.compress(b" " * (65 * 1024 * 1024), mtime=0), {"HTTP_CONTENT_ENCODING": "gzip"}, 413),
        (b"{}\n" * 10_001, {"content_type": "application/x-ndjson"}, 413),
    ],
)
def test_bodies_that_are_refused_whole(api, body, headers, status):
    answer = api("post", "records", body, **headers)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_depth_is_bounded(api):
    deep = json.dumps(make_record(model={"name": "m", "version": "1", "decoder": {}}))
    body = deep.replace('"decoder": {}', '"decoder": {"a":' + "[" * 90 + "]" * 90 + "}")
    answer = api("post", "records", body.encode(), content_type="application/x-ndjson")
    assert answer.json()["results"][0]["errors"][0]["code"] == "too_deep"


def test_cold_start_says_so(send):
    result = send(1)["results"][0]
    assert result["score"] == 0
    assert [reason["kind"] for reason in result["reasons"]] == ["cold_start"]


def test_consent_defaults_and_says(project, api):
    project.training_consent = True
    project.save()
    api.post(
        "records",
        {
            "records": [
                make_record(0),
                make_record(1, consent={"review": False, "training": False, "basis": "contract"}),
            ]
        },
    )
    rows = InferenceRecord.objects.of(project).order_by("external_id")
    assert [(r.may_review, r.may_train, r.consent_basis) for r in rows] == [
        (True, True, ""),
        (False, False, "contract"),
    ]


def test_every_batch_leaves_one_audit_row(project, send):
    send(7)
    (event,) = AuditEvent.objects.filter(project=project, action="records.ingested")
    assert event.detail["n_records"] == 7


def test_list_pages_by_keyset_and_filters(api, send):
    sent = [make_record(i, context={"region": "eu" if i % 2 else "us"}) for i in range(7)]
    send(sent)
    first = api.get("records?limit=3").json()
    assert len(first["results"]) == 3
    seen = [row["external_id"] for row in first["results"]]
    cursor = first["next"]
    while cursor:
        page = api.get(f"records?limit=3&cursor={cursor}").json()
        seen += [row["external_id"] for row in page["results"]]
        cursor = page["next"]
    assert seen == [f"r-{i}" for i in reversed(range(7))]
    assert len(api.get("records?region=eu").json()["results"]) == 3
    after = sent[4]["occurred_at"].replace("+", "%2B")
    found = api("get", f"records?occurred_after={after}").json()
    assert [row["external_id"] for row in found["results"]] == ["r-6", "r-5", "r-4"]


@pytest.mark.parametrize(
    "query",
    [
        "project__hash_key=x",
        "tier=9",
        "action=nothing",
        "cursor=%00",
        "cursor=WyJ4Il0",
        "limit=0",
        "limit=100000",
        "occurred_after=yesterday",
        "region=%00",
        "model__name=x",
    ],
)
def test_filters_are_allow_listed(api, query):
    assert api.get(f"records?{query}").status_code == 400


def test_a_parameter_that_no_text_column_can_hold_is_named(api, queue):
    answer = api.get("estimates?queue=%00&metric=prevalence")
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["path"], error["code"]) == ("queue", "unstorable_text")


def test_a_gzip_takes_the_room_of_what_it_inflates_to(api):
    def send():
        packed = gzip.compress(b"\n" * CAPACITY_BYTES, mtime=0)
        assert len(packed) < SMALL_BYTES
        return api(
            "post",
            "records",
            packed,
            content_type="application/x-ndjson",
            HTTP_CONTENT_ENCODING="gzip",
        )

    with records._room.taken(2 * SMALL_BYTES):
        refused = send()
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused["Retry-After"]
    assert send().json()["errors"][0]["code"] == "required"  # read, and nothing in it
    with records._room.taken(CAPACITY_BYTES, wait_seconds=0):
        pass  # all was given back


def test_read_one_and_never_across_projects(api, send):
    record = send(1)["results"][0]["id"]
    told = api.get(f"records/{record}").json()
    assert told["input"] == "question number 0"
    stranger = make_api(make_project())
    assert stranger.get(f"records/{record}").status_code == 404
    assert stranger.get("records").json()["results"] == []


def test_scopes_are_kept(project):
    reader = make_api(project, scopes=["records:read"])
    assert reader.post("records", {"records": [make_record()]}).status_code == 403
    writer = make_api(project, scopes=["records:write"])
    assert writer.get("records").status_code == 403
