"""`/api/v1/rounds`: asking for a draw, and reading how it was made."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.jobs.api import JobSerializer, accepted
from oversight.lib import paging
from oversight.tenancy.authentication import ActorRequest
from review.selectors import queues
from review.selectors import rounds as selectors
from review.services import disclosure, extra_rounds


class RoundInSerializer(serializers.Serializer[Any]):
    queue = serializers.SlugField()
    budget = serializers.IntegerField(required=False, min_value=1)
    windows = serializers.JSONField(
        required=False,
        help_text='"again", or {since, until} of their closing: draw these windows once more, '
        "from what earlier rounds have left",
    )


class RoundsView(APIView):
    permissions = {"POST": "rounds:run", "GET": "figures:read"}

    @extend_schema(
        operation_id="rounds_create", request=RoundInSerializer, responses={202: JobSerializer}
    )
    def post(self, request: ActorRequest) -> Response:
        form = RoundInSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        queue = queues.get_queue(request.user, form.validated_data["queue"])
        return accepted(
            extra_rounds.ask_for_rounds(
                request.user,
                queue=queue,
                budget=form.validated_data.get("budget"),
                windows=form.validated_data.get("windows"),
            )
        )

    @extend_schema(operation_id="rounds_list", responses=dict)
    def get(self, request: ActorRequest) -> Response:
        found, following = paging.page(
            selectors.rounds(request.user),
            request.query_params,
            after=lambda rows, key: rows.filter(pk__lt=int(key[0])),
            key=lambda row: [row.pk],
        )
        return Response(
            {
                "results": [
                    {
                        "id": made.pk,
                        "queue": made.queue.slug,
                        "window": made.window.number,
                        "stratum": made.stratum,
                        "number": made.number,
                        "candidates": made.n_candidates,
                        "selected": made.n_selected,
                    }
                    for made in found
                ],
                "next": following,
            }
        )


class RoundView(APIView):
    permissions = {"GET": "figures:read"}

    @extend_schema(
        operation_id="rounds_read",
        description=(
            "Of a selection that the caller has in hand, its place alone is told (`withheld`). To "
            "whoever has judged others of them, these count as seen: see `GET cases/{id}`."
        ),
        responses=dict,
    )
    def get(self, request: ActorRequest, round_id: int) -> Response:
        made = selectors.get_round(request.user, round_id)
        found = selectors.told(request.user, made.selections.order_by("position"))
        disclosure.see_records(request.user, selectors.records_of(found))
        return Response(selectors.as_answer(made, found))
