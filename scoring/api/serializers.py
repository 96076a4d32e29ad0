"""The form of records in the API, for the schema and for answers."""

from typing import Any

from rest_framework import serializers

from oversight.lib.clock import rfc3339
from scoring.models import Action, InferenceRecord


class FieldErrorSerializer(serializers.Serializer[Any]):
    path = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class ModelSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    version = serializers.CharField(max_length=200)
    prompt_template = serializers.CharField(required=False)
    role_format = serializers.CharField(required=False)
    decoder = serializers.DictField(required=False)


class ConsentSerializer(serializers.Serializer[Any]):
    review = serializers.BooleanField(required=False)
    training = serializers.BooleanField(required=False)
    basis = serializers.CharField(required=False, max_length=200)


class RecordInSerializer(serializers.Serializer[Any]):
    """A record as sent. Decoding itself is scoring/intake/wire.py; this describes it."""

    external_id = serializers.CharField(max_length=200)
    occurred_at = serializers.DateTimeField(help_text="RFC 3339 with offset")
    model = ModelSerializer()
    input = serializers.JSONField(help_text="a string, or a list of {role, content}")
    output = serializers.JSONField(help_text="a string, or a list of {role, content}")
    signals = serializers.DictField(child=serializers.FloatField(), required=False)
    fingerprint = serializers.JSONField(
        required=False, help_text='a list of numbers, or {"dtype": "float16|float32", "data": …}'
    )
    context = serializers.DictField(required=False)  # type: ignore[assignment]  # a field of ours, named as DRF's attribute
    conversation_id = serializers.CharField(required=False, max_length=200)
    subject_id = serializers.CharField(required=False, max_length=200)
    consent = ConsentSerializer(required=False)


class RecordsInSerializer(serializers.Serializer[Any]):
    records = RecordInSerializer(many=True)


class ReasonSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    name = serializers.CharField()
    contribution = serializers.FloatField()
    detail = serializers.CharField()


class ResultSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    external_id = serializers.CharField(allow_null=True)
    id = serializers.UUIDField(allow_null=True)
    status = serializers.ChoiceField(["accepted", "duplicate", "rejected"])
    score = serializers.FloatField(required=False)
    raw = serializers.FloatField(required=False)
    p_violation = serializers.FloatField(required=False, allow_null=True)
    tier = serializers.IntegerField(required=False)
    action = serializers.ChoiceField(["pass", "review", "intervene"], required=False)
    intervention = serializers.DictField(required=False)
    reasons = ReasonSerializer(many=True, required=False)
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]  # named as DRF's property


class OutcomeSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = ResultSerializer(many=True)


class RecordSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    external_id = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    model_name = serializers.CharField()
    model_version = serializers.CharField()
    region = serializers.CharField()
    withheld = serializers.BooleanField(
        help_text="The caller holds a case of it: what could sway the verdict is null."
    )
    score = serializers.FloatField(allow_null=True)
    raw = serializers.FloatField(allow_null=True)
    p_violation = serializers.FloatField(allow_null=True)
    tier = serializers.IntegerField(allow_null=True)
    action = serializers.ChoiceField(["pass", "review", "intervene"], allow_null=True)
    scorer_version = serializers.IntegerField()
    held_out = serializers.BooleanField()
    signals = serializers.DictField(allow_null=True)
    context = serializers.DictField()  # type: ignore[assignment]  # named as DRF's attribute
    consent = ConsentSerializer()


class RecordDetailSerializer(RecordSerializer):
    """One record with what was said and why it was scored so; without both once erased."""

    input = serializers.JSONField(required=False)
    output = serializers.JSONField(required=False)
    reasons = ReasonSerializer(
        many=True, required=False, allow_null=True, help_text="contributions add up to raw"
    )
    intervention = serializers.DictField(
        required=False, allow_null=True, help_text="{kind: block} or {kind: replace, replacement}"
    )


class RecordPageSerializer(serializers.Serializer[Any]):
    results = RecordSerializer(many=True)
    next = serializers.CharField(allow_null=True)


def record(row: InferenceRecord) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "external_id": row.external_id,
        "occurred_at": rfc3339(row.occurred_at),
        "model_name": row.model_version.name,
        "model_version": row.model_version.version,
        "region": row.region,
        "withheld": False,
        "score": row.score,
        "raw": row.raw,
        "p_violation": row.p_violation,
        "tier": row.tier,
        "action": Action(row.action).label,
        "scorer_version": row.scorer_version.number,
        "held_out": row.held_out,
        "signals": row.signals,
        "context": row.context,
        "consent": {
            "review": row.may_review,
            "training": row.may_train,
            "basis": row.consent_basis,
        },
    }


_SWAYING = ("score", "raw", "p_violation", "tier", "action", "signals", "reasons", "intervention")


def withhold(told: dict[str, Any]) -> dict[str, Any]:
    """A record's answer without what could sway a verdict on it."""
    return told | {"withheld": True} | {name: None for name in _SWAYING if name in told}
