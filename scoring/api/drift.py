"""`/api/v1/drift`: drift reports, newest first, and one by one."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.lib import paging
from oversight.tenancy.authentication import ActorRequest
from scoring.models import DriftReport
from scoring.selectors import drift as selectors


class SegmentSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    value = serializers.CharField()


class AlarmSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(
        help_text="signal, missing, score, fingerprint, distance, mix or verdict_rate"
    )
    name = serializers.CharField()
    segment = SegmentSerializer(allow_null=True)
    sentence = serializers.CharField()
    statistic = serializers.FloatField()
    p = serializers.FloatField()
    p_adjusted = serializers.FloatField(help_text="for all tests of the report")
    direction = serializers.CharField()
    effect = serializers.DictField(help_text="{size, unit}")
    severity = serializers.FloatField(help_text="from 0 to 1")
    since = serializers.DictField(
        allow_null=True, help_text="{at, low, high}: seconds since 1970, with a 90 % range"
    )
    before = serializers.FloatField()
    after = serializers.FloatField()
    change = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True, help_text="95 % limits of the change")
    high = serializers.FloatField(allow_null=True)
    n_reference = serializers.IntegerField()
    n_compared = serializers.IntegerField()


class ReportSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(DriftReport.Kind.choices)
    queue = serializers.CharField(allow_null=True, help_text="whose verdicts were compared")
    model = serializers.CharField()
    version = serializers.CharField()
    scorer = serializers.CharField()
    scorer_version = serializers.IntegerField()
    windows = serializers.DictField(help_text="{first, last}: numbers")
    reference = serializers.DictField(help_text="{first, last, n}")
    compared = serializers.DictField(help_text="{first, last, n, n_records}")
    season = serializers.CharField(help_text="what records were matched on")
    matched = serializers.FloatField()
    level = serializers.FloatField(
        help_text="chance that a report without drift holds even one alarm, at most"
    )
    n_tests = serializers.IntegerField()
    alarms = AlarmSerializer(many=True)
    created_at = serializers.DateTimeField()


class ReportPageSerializer(serializers.Serializer[Any]):
    results = ReportSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ReportDetailSerializer(ReportSerializer):
    tests = serializers.ListField(child=serializers.DictField())
    scores = serializers.DictField(allow_null=True, help_text="{n, counts, quantiles}")
    baselines = serializers.ListField(
        child=serializers.DictField(), help_text="moving means beside those of the reference"
    )


class ReportsView(APIView):
    permissions = {"GET": "figures:read"}

    @extend_schema(
        operation_id="drift_list",
        parameters=[
            OpenApiParameter("alarms", bool, description="only reports that raised an alarm"),
            OpenApiParameter("cursor", str),
            OpenApiParameter("limit", int),
        ],
        responses=ReportPageSerializer,
    )
    def get(self, request: ActorRequest) -> Response:
        only_alarms = request.query_params.get("alarms", "") in ("1", "true")
        found, following = paging.page(
            selectors.reports(request.user, with_alarms=only_alarms),
            request.query_params,
            after=lambda rows, key: rows.filter(pk__lt=int(key[0])),
            key=lambda row: [row.pk],
        )
        return Response({"results": [selectors.as_answer(row) for row in found], "next": following})


class ReportView(APIView):
    permissions = {"GET": "figures:read"}

    @extend_schema(operation_id="drift_read", responses=ReportDetailSerializer)
    def get(self, request: ActorRequest, report_id: int) -> Response:
        report = selectors.get_report(request.user, report_id)
        return Response(
            selectors.as_answer(report)
            | {"tests": report.tests, "scores": report.scores, "baselines": report.baselines}
        )
