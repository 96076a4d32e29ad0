"""`/api/v1/scorers/{slug}/versions/{n}/backtest`: a version against another on judged records."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.jobs.api import JobSerializer, accepted
from oversight.lib import errors
from oversight.tenancy.actors import Actor
from oversight.tenancy.authentication import ActorRequest
from review.selectors.queues import get_queue
from review.services import backtesting
from scoring.models import ScorerVersion
from scoring.selectors import backtests
from scoring.selectors import scorers as selectors


class AskSerializer(serializers.Serializer[Any]):
    queue = serializers.SlugField(required=False, help_text="default: the project's first")
    question = serializers.CharField(
        required=False, help_text="answered by yes or no; default: the rubric's violation rule"
    )
    reference = serializers.IntegerField(
        required=False,
        min_value=1,
        help_text="number of the version to compare with; default: the one in use, or for that "
        "one the version before it",
    )


class BacktestSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    scorer = serializers.SlugField()
    version = serializers.IntegerField()
    reference = serializers.IntegerField(allow_null=True)
    labels = serializers.CharField(help_text="whose: queue or queue/question")
    label_counts = serializers.DictField()
    created_at = serializers.DateTimeField()
    level = serializers.FloatField(help_text="of all intervals")
    tiers = serializers.ListField(
        help_text="alarm at each tier or above: n_records compared, n_labels, n_different (decided "
        "differently), candidate, previous, recall_gain, precision_gain; each figure "
        "{value, low, high, n_records, n_effective}, or {value: null, reason}"
    )
    segments = serializers.ListField(help_text="the same at segment_tier, by field and value")
    segment_tier = serializers.IntegerField()
    calibration = serializers.DictField(help_text="log_loss, brier, calibration_error by version")
    calibration_gain = serializers.DictField(
        help_text="where the calibration alone sets the two apart: weighted mean difference of "
        "log loss, {rule, value, low, high, says}; below 0 is better; empty for others"
    )
    evaluation = serializers.DictField(help_text="the same on held-out labels; decides nothing")
    verdict = serializers.DictField(
        help_text="{rule, says: better|worse|undecided, reason}, with `tier` where tiers decide; "
        "a calibration_gain decides where there is one"
    )


class BacktestView(APIView):
    permissions = {"GET": "figures:read", "POST": "scorers:write"}

    @extend_schema(
        operation_id="scorer_versions_backtest",
        parameters=[OpenApiParameter("reference", int, description="number of a version")],
        responses=BacktestSerializer,
    )
    def get(self, request: ActorRequest, slug: str, number: int) -> Response:
        version = selectors.get_version(request.user, slug, number)
        text = request.query_params.get("reference")
        reference = None if text is None else _reference(request.user, slug, text)
        return Response(backtests.as_answer(backtests.get_latest(request.user, version, reference)))

    @extend_schema(
        operation_id="scorer_versions_backtest_ask",
        request=AskSerializer,
        responses={202: JobSerializer},
    )
    def post(self, request: ActorRequest, slug: str, number: int) -> Response:
        form = AskSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        actor = request.user
        return accepted(
            backtesting.ask_for_backtest(
                actor,
                version=selectors.get_version(actor, slug, number),
                queue=get_queue(actor, given["queue"]) if "queue" in given else None,
                question=given.get("question", ""),
                reference=selectors.get_version(actor, slug, given["reference"])
                if "reference" in given
                else None,
            )
        )


def _reference(actor: Actor, slug: str, text: str) -> ScorerVersion:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.InvalidInput.at("reference", "the number of a version")
    return selectors.get_version(actor, slug, int(text))
