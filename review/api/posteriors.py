"""`/api/v1/queues/…/posteriors`: what a queue's verdicts have taught, and going back to it."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.lib import paging
from oversight.tenancy.authentication import ActorRequest
from review.api.versions import PAGING
from review.selectors import posteriors as selectors
from review.selectors import queues
from review.services import posteriors


class PosteriorsView(APIView):
    permissions = {"GET": "figures:read"}

    @extend_schema(operation_id="posteriors_list", parameters=PAGING, responses=dict)
    def get(self, request: ActorRequest, slug: str) -> Response:
        found, following = paging.page(
            selectors.versions(request.user, queues.get_queue(request.user, slug)),
            request.query_params,
            after=lambda rows, key: rows.filter(number__lt=int(key[0])),
            key=lambda row: [row.number],
        )
        results = [selectors.as_answer(version) for version in found]
        return Response({"results": results, "next": following})


class PosteriorUseView(APIView):
    permissions = {"POST": "queues:write"}

    @extend_schema(operation_id="posteriors_use", request=None, responses=dict)
    def post(self, request: ActorRequest, slug: str, number: int) -> Response:
        queue = queues.get_queue(request.user, slug)
        version = selectors.get_version(request.user, queue, number)
        return Response(selectors.as_answer(posteriors.put_in_use(request.user, version=version)))
