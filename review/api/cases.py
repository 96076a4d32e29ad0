"""`/api/v1/queues/{slug}/claim`, `/api/v1/cases/…`, `/api/v1/verdicts/…`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.lib import paging
from oversight.lib.clock import rfc3339
from oversight.tenancy.authentication import ActorRequest
from review.selectors import cases as selectors
from review.selectors import queues
from review.selectors import verdicts as verdict_selectors
from review.services import cases, claims, disclosure, verdicts


class ClaimTokenSerializer(serializers.Serializer[Any]):
    claim_token = serializers.UUIDField()


class SkipSerializer(ClaimTokenSerializer):
    reason = serializers.CharField(max_length=1000)


class VerdictInSerializer(ClaimTokenSerializer):
    answers = serializers.DictField()
    note = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    seconds = serializers.FloatField(required=False, allow_null=True)


class SupersedeSerializer(serializers.Serializer[Any]):
    answers = serializers.DictField()
    note = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    seconds = serializers.FloatField(required=False, allow_null=True)


class EscalateRecordSerializer(serializers.Serializer[Any]):
    queue = serializers.SlugField()
    reason = serializers.CharField(max_length=2000)


def _valid(kind: type[serializers.Serializer[Any]], request: ActorRequest) -> dict[str, Any]:
    form = kind(data=request.data)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


class ClaimView(APIView):
    permissions = {"POST": "review"}

    @extend_schema(operation_id="queues_claim", request=None, responses={200: dict, 204: None})
    def post(self, request: ActorRequest, slug: str) -> Response:
        claim = claims.claim_next(request.user, queue=queues.get_queue(request.user, slug))
        if claim is None:
            return Response(status=204)
        return Response(selectors.claimed(claim))


class CaseView(APIView):
    permissions = {"GET": ("review", "figures:read")}

    @extend_schema(
        operation_id="cases_read",
        description=(
            "The case as it is shown before a verdict. To whoever has judged it, score, tier and "
            "reasons are told beside it, unless its queue is judged blind always: from then on "
            "they count as seen, and a correction is not blind any more."
        ),
        responses=dict,
    )
    def get(self, request: ActorRequest, case_id: UUID) -> Response:
        case = selectors.get_case(request.user, case_id)
        slot = selectors.find_own_slot(request.user, case)
        version = (slot and slot.rubric_version) or claims.current_rubric(case.queue)
        told = selectors.shown(case, version)
        if disclosure.see_evidence_of_case(request.user, case=case):
            told |= selectors.disclosed(case)
        return Response(told)


class HeartbeatView(APIView):
    permissions = {"POST": "review"}

    @extend_schema(operation_id="cases_heartbeat", request=ClaimTokenSerializer, responses=dict)
    def post(self, request: ActorRequest, case_id: UUID) -> Response:
        given = _valid(ClaimTokenSerializer, request)
        until: datetime = claims.heartbeat(
            request.user, case_id=case_id, token=given["claim_token"]
        )
        return Response({"expires_at": rfc3339(until)})


class ReleaseView(APIView):
    permissions = {"POST": "review"}

    @extend_schema(
        operation_id="cases_release", request=ClaimTokenSerializer, responses={204: None}
    )
    def post(self, request: ActorRequest, case_id: UUID) -> Response:
        given = _valid(ClaimTokenSerializer, request)
        claims.release(request.user, case_id=case_id, token=given["claim_token"])
        return Response(status=204)


class SkipView(APIView):
    permissions = {"POST": "review"}

    @extend_schema(operation_id="cases_skip", request=SkipSerializer, responses={204: None})
    def post(self, request: ActorRequest, case_id: UUID) -> Response:
        given = _valid(SkipSerializer, request)
        claims.skip(
            request.user, case_id=case_id, token=given["claim_token"], reason=given["reason"]
        )
        return Response(status=204)


class VerdictsOfCaseView(APIView):
    permissions = {"POST": "review"}

    @extend_schema(operation_id="cases_verdict", request=VerdictInSerializer, responses={201: dict})
    def post(self, request: ActorRequest, case_id: UUID) -> Response:
        given = _valid(VerdictInSerializer, request)
        verdict = verdicts.submit(request.user, case_id=case_id, **given)
        return Response(selectors.verdict_answer(verdict), status=201)


class SupersedeView(APIView):
    permissions = {"POST": "review"}

    @extend_schema(
        operation_id="verdicts_supersede", request=SupersedeSerializer, responses={201: dict}
    )
    def post(self, request: ActorRequest, verdict_id: UUID) -> Response:
        given = _valid(SupersedeSerializer, request)
        verdict = verdicts.supersede(request.user, verdict_id=verdict_id, **given)
        return Response(selectors.verdict_answer(verdict), status=201)


class VerdictsView(APIView):
    permissions = {"GET": ("review", "figures:read")}

    @extend_schema(
        operation_id="verdicts_list",
        description=(
            "Oldest first. A reviewer is told their own; who may read figures, all but those of "
            "others on cases that they may yet judge themselves. Reviewers who are told others' "
            "answers are not asked about these cases any more, should they become ties."
        ),
        parameters=[OpenApiParameter(name, str) for name in ("queue", "case", "cursor", "limit")],
        responses=dict,
    )
    def get(self, request: ActorRequest) -> Response:
        found, following = paging.page(
            verdict_selectors.verdicts(request.user, request.query_params),
            request.query_params,
            after=lambda rows, key: rows.filter(
                created_at__gte=datetime.fromisoformat(key[0])
            ).exclude(created_at=datetime.fromisoformat(key[0]), pk__lte=UUID(key[1])),
            key=lambda row: [row.created_at.isoformat(), str(row.pk)],
        )
        disclosure.see_answers(request.user, found)
        return Response(
            {"results": [selectors.verdict_answer(row) for row in found], "next": following}
        )


class EscalateRecordView(APIView):
    permissions = {"POST": "escalate"}

    @extend_schema(
        operation_id="records_review", request=EscalateRecordSerializer, responses={201: dict}
    )
    def post(self, request: ActorRequest, record_id: UUID) -> Response:
        given = _valid(EscalateRecordSerializer, request)
        queue = queues.get_queue(request.user, given["queue"])
        case = cases.escalate_record(
            request.user, queue=queue, record_id=record_id, reason=given["reason"]
        )
        return Response({"case": str(case.pk), "queue": queue.slug}, status=201)
