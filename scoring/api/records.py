"""`/api/v1/records`: sending records and reading them back."""

from collections.abc import Callable, Collection
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.lib import codec, deadline, errors, metrics, paging
from oversight.tenancy.actors import Actor
from oversight.tenancy.authentication import ActorRequest
from scoring.api import answers, serializers
from scoring.intake import body, room
from scoring.selectors import records as selectors
from scoring.services import ingest, together
from scoring.services.ingest import Outcome

INGEST_SECONDS = 30.0  # of waiting for the database in all
_room = room.Room(room.CAPACITY_BYTES)
_RESULTS = ("all", "rejected", "none")

# The records whose scores an actor is not to know at this moment.
Withheld = Callable[[Actor], Collection[UUID]]
# Called before an actor is told the scores of these records.
OnTelling = Callable[[Actor, Collection[UUID]], None]


def nothing(actor: Actor) -> Collection[UUID]:
    """Nobody is kept from a score where nobody judges."""
    return ()


def unnoted(actor: Actor, record_ids: Collection[UUID]) -> None:
    """Nor is it noted there who is told one."""


class RecordsView(APIView):
    permissions = {"POST": "records:write", "GET": "records:read"}
    withheld: Withheld = staticmethod(nothing)
    on_telling: OnTelling = staticmethod(unnoted)

    @extend_schema(
        operation_id="records_create",
        request={
            body.JSON: serializers.RecordsInSerializer,
            body.NDJSON: serializers.RecordInSerializer(many=True),
        },
        parameters=[OpenApiParameter("results", str, enum=_RESULTS, default="all")],
        responses={200: serializers.OutcomeSerializer, 422: serializers.OutcomeSerializer},
    )
    def post(self, request: ActorRequest) -> HttpResponse:
        shown = request.query_params.get("results", "all")
        if shown not in _RESULTS:
            raise errors.InvalidInput.at("results", "none, rejected or all")
        announced = _announced_bytes(request)
        encoding = request.headers.get("Content-Encoding", "")
        with _room.taken(room.expected_bytes(announced, encoding)) as share:
            done = _take_in(request, announced, share)
            answer = answers.encode(done, shown)
        for outcome in ("accepted", "duplicates", "rejected"):
            metrics.RECORDS.labels(outcome).inc(getattr(done, outcome))
        return HttpResponse(
            answer,
            status=200 if done.accepted or done.duplicates else 422,
            content_type=body.JSON,
        )

    @extend_schema(
        operation_id="records_list",
        parameters=[
            OpenApiParameter(name, str) for name in (*sorted(selectors.FILTERS), "cursor", "limit")
        ],
        responses=serializers.RecordPageSerializer,
    )
    def get(self, request: ActorRequest) -> Response:
        withheld = self.withheld(request.user)
        found, following = paging.page(
            selectors.records(request.user, request.query_params, withheld=withheld),
            request.query_params,
            after=selectors.records_after,
            key=lambda row: [str(row.pk)],
            walk=selectors.walk(request.user, request.query_params),
        )
        self.on_telling(request.user, {row.pk for row in found} - set(withheld))
        told = [
            serializers.withhold(serializers.record(row))
            if row.pk in withheld
            else serializers.record(row)
            for row in found
        ]
        return Response({"results": told, "next": following})


def _take_in(request: ActorRequest, announced: int, share: room.Share) -> Outcome:
    inflated = _read(request, announced, share)
    share.resize(len(inflated))
    slices = body.split(inflated, request.content_type or "")
    if len(slices) <= together.MAX_JOINING:
        return together.ingest_together(request.user, slices=slices)
    # A large batch waits often; each single wait stays as bounded as any.
    with deadline.extended(INGEST_SECONDS):
        return ingest.ingest(request.user, slices=slices)


def _announced_bytes(request: ActorRequest) -> int:
    text = request._request.META.get("CONTENT_LENGTH") or "0"
    announced = int(text) if text.isdigit() else 0
    if announced > body.MAX_DECODED_BYTES:
        raise errors.TooLarge(f"the body is larger than {body.MAX_DECODED_BYTES // 2**20} MiB")
    return announced


def _read(request: ActorRequest, announced: int, share: room.Share) -> bytes:
    """The body, inflated; what the client announced must have arrived whole."""
    django = request._request
    data = django.read()
    if len(data) < announced:
        raise errors.InvalidInput("the body is shorter than announced", code="truncated")
    return body.inflate(data, django.headers.get("Content-Encoding", ""), share.grow)


class RecordView(APIView):
    permissions = {"GET": "records:read"}
    withheld: Withheld = staticmethod(nothing)
    on_telling: OnTelling = staticmethod(unnoted)

    @extend_schema(operation_id="records_read", responses=serializers.RecordDetailSerializer)
    def get(self, request: ActorRequest, record_id: UUID) -> Response:
        row = selectors.get_record(request.user, record_id)
        payload = selectors.find_payload(record_id)
        answer = serializers.record(row)
        if payload is not None:
            answer |= {
                "input": codec.decode(payload.input.encode()),
                "output": codec.decode(payload.output.encode()),
                "reasons": payload.reasons,
                "intervention": payload.intervention,
            }
        if record_id in self.withheld(request.user):
            answer = serializers.withhold(answer)
        else:
            self.on_telling(request.user, [record_id])
        return Response(answer)
