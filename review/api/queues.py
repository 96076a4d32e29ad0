"""`/api/v1/queues…`: which records are reviewed, under which rubric, how many."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.lib import paging
from oversight.lib.clock import rfc3339
from oversight.tenancy.authentication import ActorRequest
from review.api.versions import PAGING, valid
from review.models import ReviewQueue
from review.models.queues import BudgetRule
from review.queue_settings import PROFILES, SETTINGS, STRATEGIES
from review.selectors import queues as selectors
from review.services import queues as services


class QueueSettingsSerializer(serializers.Serializer[Any]):
    """What of a queue may be changed. Bounds are checked by the service."""

    rubric = serializers.SlugField(required=False)
    name = serializers.CharField(required=False, allow_blank=True, max_length=120)
    filter = serializers.DictField(
        required=False,
        help_text="{model, version, region, action: value or list; tier_min; score_min; "
        "score_max; context: {name: value or list}}",
    )
    profile = serializers.ChoiceField(
        list(PROFILES),
        required=False,
        write_only=True,
        help_text="settings measured together, for what is not given here: strategy, floor, "
        "effective_size",
    )
    strategy = serializers.ChoiceField(STRATEGIES, required=False)
    tau = serializers.JSONField(required=False, help_text='a number, or "auto"')
    effective_size = serializers.FloatField(
        required=False, help_text="where τ is auto: the draw's effective sample size in budgets"
    )
    segment_terms = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="`region` or context fields that the posterior has terms for",
    )
    floor = serializers.FloatField(
        required=False,
        help_text="share drawn by chance alone; at least 0.5 until verdicts have taught the draw, "
        "and among held-out records",
    )
    budget = serializers.IntegerField(required=False)
    evaluation_budget = serializers.IntegerField(required=False)
    intervened_budget = serializers.IntegerField(required=False)
    budget_rule = serializers.ChoiceField(
        BudgetRule.choices,
        required=False,
        help_text="capacity: what reviewers can answer, at most the budgets; fixed: the budgets",
    )
    max_age_hours = serializers.IntegerField(
        required=False, help_text="cases that nobody has begun by then are withdrawn"
    )
    overlap = serializers.FloatField(required=False)
    gold_share = serializers.FloatField(required=False)
    evidence = serializers.ChoiceField(ReviewQueue.Evidence.choices, required=False)
    lease_seconds = serializers.IntegerField(required=False)
    is_paused = serializers.BooleanField(required=False)


class QueueInSerializer(QueueSettingsSerializer):
    slug = serializers.SlugField(max_length=63)
    rubric = serializers.SlugField()


class QueueSerializer(QueueInSerializer):
    created_at = serializers.DateTimeField()


class QueuePageSerializer(serializers.Serializer[Any]):
    results = QueueSerializer(many=True)
    next = serializers.CharField(allow_null=True)


def _told(queue: ReviewQueue) -> dict[str, Any]:
    return {
        "slug": queue.slug,
        "rubric": queue.rubric.slug,
        **{name: getattr(queue, name) for name in SETTINGS},
        "tau": "auto" if queue.tau is None else queue.tau,
        "created_at": rfc3339(queue.created_at),
    }


class QueuesView(APIView):
    permissions = {"GET": "queues:read", "POST": "queues:write"}

    @extend_schema(operation_id="queues_list", parameters=PAGING, responses=QueuePageSerializer)
    def get(self, request: ActorRequest) -> Response:
        found, following = paging.page(
            selectors.queues(request.user),
            request.query_params,
            after=lambda rows, key: rows.filter(slug__gt=str(key[0])),
            key=lambda row: [row.slug],
        )
        return Response({"results": [_told(queue) for queue in found], "next": following})

    @extend_schema(
        operation_id="queues_create", request=QueueInSerializer, responses={201: QueueSerializer}
    )
    def post(self, request: ActorRequest) -> Response:
        given = valid(QueueInSerializer, request)
        slug, rubric = given.pop("slug"), given.pop("rubric")
        queue = services.create_queue(request.user, slug=slug, rubric=rubric, settings=given)
        return Response(_told(queue), status=201)


class QueueView(APIView):
    permissions = {"GET": "queues:read", "PATCH": "queues:write"}

    @extend_schema(operation_id="queues_read", responses=QueueSerializer)
    def get(self, request: ActorRequest, slug: str) -> Response:
        return Response(_told(selectors.get_queue(request.user, slug)))

    @extend_schema(
        operation_id="queues_change", request=QueueSettingsSerializer, responses=QueueSerializer
    )
    def patch(self, request: ActorRequest, slug: str) -> Response:
        given = valid(QueueSettingsSerializer, request)
        rubric = given.pop("rubric", None)
        queue = services.update_queue(request.user, slug=slug, rubric=rubric, settings=given)
        return Response(_told(queue))
