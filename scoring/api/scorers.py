"""`/api/v1/scorers/{slug}/versions`: fitting, releasing and rolling back what scores records."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.jobs.api import JobSerializer, accepted
from oversight.lib import paging
from oversight.tenancy.authentication import ActorRequest
from scoring.models import ScorerVersion
from scoring.selectors import scorers as selectors
from scoring.services import fit_requests, guarding, kinds, rescoring, scorers


class FitSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False, allow_null=True)
    until = serializers.DateTimeField(required=False, allow_null=True)
    kind = serializers.ChoiceField(
        list(kinds.KINDS),
        required=False,
        allow_null=True,
        help_text="default: the first that knows the settings and has records enough",
    )
    config = serializers.DictField(
        required=False,
        help_text="{signals: {name: {direction: high|low|both, weight}}, profile: lean|full and "
        "alpha, beta, gamma of an ensemble, fingerprint_weight of percentiles, "
        "tier_rates: four numbers, review_from_tier, intervene_from_tier, intervention, "
        "context_weights, minimum_records, seed}",
    )
    invariants = serializers.ChoiceField(
        list(guarding.CHOICES),
        required=False,
        help_text="default: keep those of the version in use",
    )


class RescoreSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False, allow_null=True)
    until = serializers.DateTimeField(required=False, allow_null=True)
    model = serializers.CharField(required=False, help_text="a model's name; default: all")


class VersionSerializer(serializers.Serializer[Any]):
    scorer = serializers.SlugField()
    number = serializers.IntegerField()
    kind = serializers.CharField()
    kind_number = serializers.IntegerField()
    status = serializers.ChoiceField(ScorerVersion.Status.choices)
    is_current = serializers.BooleanField()
    config = serializers.DictField()
    digest = serializers.CharField(help_text="SHA-256 of the frozen state")
    baseline = serializers.DictField(help_text="from when to when, how many records of which model")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(allow_null=True, help_text="who asked for it")
    released_at = serializers.DateTimeField(allow_null=True)
    released_by = serializers.CharField(allow_null=True)


class VersionPageSerializer(serializers.Serializer[Any]):
    results = VersionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class VersionsView(APIView):
    permissions = {"GET": "figures:read", "POST": "scorers:write"}

    @extend_schema(
        operation_id="scorer_versions_list",
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=VersionPageSerializer,
    )
    def get(self, request: ActorRequest, slug: str) -> Response:
        found, following = paging.page(
            selectors.versions(request.user, slug),
            request.query_params,
            after=lambda rows, key: rows.filter(pk__lt=int(key[0])),
            key=lambda row: [row.pk],
        )
        return Response({"results": [selectors.as_answer(row) for row in found], "next": following})

    @extend_schema(
        operation_id="scorer_versions_fit", request=FitSerializer, responses={202: JobSerializer}
    )
    def post(self, request: ActorRequest, slug: str) -> Response:
        form = FitSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        scorer = selectors.get_scorer(request.user, slug)
        return accepted(
            fit_requests.ask_for_fit(request.user, slug=scorer.slug, **form.validated_data)
        )


class VersionView(APIView):
    permissions = {"GET": "figures:read"}

    @extend_schema(operation_id="scorer_versions_read", responses=VersionSerializer)
    def get(self, request: ActorRequest, slug: str, number: int) -> Response:
        version = selectors.get_version(request.user, slug, number)
        return Response(selectors.as_answer(version))


class StateView(APIView):
    permissions = {"GET": "figures:read"}

    @extend_schema(
        operation_id="scorer_versions_state",
        description="The version as a file, for `scoring.core.monitor.Monitor.load`; its ETag is "
        "the SHA-256 that the monitor tells as `scorer_digest`.",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: ActorRequest, slug: str, number: int) -> HttpResponse:
        version = selectors.get_version(request.user, slug, number)
        return HttpResponse(
            bytes(version.state),
            content_type="application/octet-stream",
            headers={
                "Content-Disposition": f'attachment; filename="{slug}-v{number}.scorer"',
                "ETag": f'"{version.digest}"',
            },
        )


class ReleaseView(APIView):
    permissions = {"POST": "scorers:write"}

    @extend_schema(
        operation_id="scorer_versions_release", request=None, responses=VersionSerializer
    )
    def post(self, request: ActorRequest, slug: str, number: int) -> Response:
        version = selectors.get_version(request.user, slug, number)
        scorers.release(request.user, version=version)
        return Response(
            selectors.as_answer(selectors.get_version(request.user, slug, version.number))
        )


class RollbackView(APIView):
    permissions = {"POST": "scorers:write"}

    @extend_schema(
        operation_id="scorer_versions_rollback",
        description="Rolls this version back, which must be the one in use; "
        "answers with the version that is in use now.",
        request=None,
        responses=VersionSerializer,
    )
    def post(self, request: ActorRequest, slug: str, number: int) -> Response:
        version = selectors.get_version(request.user, slug, number)
        now = scorers.roll_back(request.user, version=version)
        return Response(selectors.as_answer(selectors.get_version(request.user, slug, now.number)))


class ScoresView(APIView):
    permissions = {"POST": "scorers:write"}

    @extend_schema(
        operation_id="scorer_versions_score",
        description="Scores stored records under this version, beside the scores they were given.",
        request=RescoreSerializer,
        responses={202: JobSerializer},
    )
    def post(self, request: ActorRequest, slug: str, number: int) -> Response:
        form = RescoreSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        version = selectors.get_version(request.user, slug, number)
        return accepted(
            rescoring.ask_for_scores(request.user, version=version, **form.validated_data)
        )
