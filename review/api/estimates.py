"""`/api/v1/estimates`: one rate with its interval, or an honest null."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.tenancy.authentication import ActorRequest
from review.estimates.figures import as_answer
from review.selectors import estimates as selectors
from scoring.core.estimation.estimate import METRICS

_TOLD = {
    "queue": "",
    "metric": ", ".join(METRICS),
    "question": "The rubric's violation rule where absent; key, or key:answer of a choice.",
    "at": "What counts as flagged: tier (that which is reviewed), tier:2 or score:0.95.",
    "model": "",
    "version": "Of the model.",
    "scorer_version": "Only records that this version has scored.",
    "segment": "name:value",
    "since": "RFC 3339, by occurrence, inclusive.",
    "until": "RFC 3339, exclusive.",
    "rubric_version": "Only answers given under this version of the rubric.",
}
_PARAMETERS = [
    OpenApiParameter(name, str, description=text, required=name in ("queue", "metric"))
    for name, text in _TOLD.items()
]


class BesideSerializer(serializers.Serializer[Any]):
    """A second figure; null with a reason where it cannot be told."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    method = serializers.CharField()
    reason = serializers.CharField(allow_null=True)


class AccuracySerializer(serializers.Serializer[Any]):
    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class CorrectedSerializer(BesideSerializer):
    """Of the rate of first answers, by the accuracy of a single one."""

    sensitivity = AccuracySerializer(allow_null=True)
    specificity = AccuracySerializer(allow_null=True)


class UniformSerializer(serializers.Serializer[Any]):
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    effective_sample_size = serializers.FloatField(allow_null=True)
    method = serializers.CharField()


class ExcludedSerializer(serializers.Serializer[Any]):
    records = serializers.IntegerField()
    reason = serializers.CharField()


class EstimateSerializer(serializers.Serializer[Any]):
    queue = serializers.CharField()
    question = serializers.CharField(allow_null=True)
    metric = serializers.ChoiceField(METRICS)
    at = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    level = serializers.FloatField()
    n_verdicts = serializers.IntegerField(help_text="Resolved cases.")
    n_records = serializers.IntegerField(help_text="Records that the figure speaks of.")
    effective_sample_size = serializers.FloatField(allow_null=True)
    method = serializers.CharField()
    assumptions = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField(allow_null=True, help_text="Why there is no value.")
    is_weak = serializers.BooleanField()
    effective_positives = serializers.FloatField(allow_null=True)
    design_low = serializers.FloatField(allow_null=True)
    design_high = serializers.FloatField(allow_null=True)
    uniform = UniformSerializer(help_text="As many verdicts on uniformly drawn records.")
    corrected = CorrectedSerializer(help_text="For the reviewers' errors.")
    continuous = BesideSerializer(help_text="Limits that hold at every look.")
    unresolved = serializers.IntegerField()
    excluded = ExcludedSerializer(many=True)


class EstimatesView(APIView):
    permissions = {"GET": "figures:read"}

    @extend_schema(
        operation_id="estimates_read", parameters=_PARAMETERS, responses=EstimateSerializer
    )
    def get(self, request: ActorRequest) -> Response:
        params = request.query_params.dict()
        return Response(as_answer(selectors.get_figure(request.user, params)))
