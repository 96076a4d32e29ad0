"""`/api/v1/scorers/{slug}/invariants`: the checks beside a score, read and replaced."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.tenancy.authentication import ActorRequest
from scoring.api.scorers import VersionSerializer
from scoring.core.invariants.vocabulary import LANGUAGE
from scoring.selectors import scorers as selectors
from scoring.services import guarding

STARTER = "starter"


class InvariantsSerializer(serializers.Serializer[Any]):
    invariants = serializers.JSONField(
        help_text='{"language": 1, "invariants": [...]}; "starter" takes the starter pack'
    )


class InvariantsView(APIView):
    permissions = {"GET": "figures:read", "POST": "scorers:write"}

    @extend_schema(operation_id="scorer_invariants_read", responses=InvariantsSerializer)
    def get(self, request: ActorRequest, slug: str) -> Response:
        scorer = selectors.get_scorer(request.user, slug)
        document = guarding.in_use(request.user.project, scorer.slug)
        return Response({"invariants": document or {"language": LANGUAGE, "invariants": []}})

    @extend_schema(
        operation_id="scorer_invariants_propose",
        description="Proposes the version in use with these invariants instead of its own; "
        "what was fitted stays. Release it to put them in use.",
        request=InvariantsSerializer,
        responses={201: VersionSerializer},
    )
    def post(self, request: ActorRequest, slug: str) -> Response:
        form = InvariantsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data["invariants"]
        scorer = selectors.get_scorer(request.user, slug)
        version = guarding.guard(
            request.user,
            invariants=guarding.starter() if given == STARTER else given,
            slug=scorer.slug,
        )
        proposed = selectors.get_version(request.user, scorer.slug, version.number)
        return Response(selectors.as_answer(proposed), status=201)
