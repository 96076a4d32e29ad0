"""`/api/v1/datasets`: asking for an export, its manifest, its files."""

from typing import Any
from uuid import UUID

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.jobs.api import JobSerializer, accepted
from oversight.lib import paging
from oversight.tenancy.authentication import ActorRequest
from review.api.versions import PAGING, valid
from review.datasets.columns import LABEL_RULES, SPLITS
from review.selectors import datasets as selectors
from review.selectors import queues
from review.services import datasets as services


class DatasetInSerializer(serializers.Serializer[Any]):
    """What a dataset is made of. Kinds, formats and filters are checked by the service."""

    name = serializers.SlugField(max_length=63)
    queue = serializers.SlugField()
    question = serializers.CharField(required=False, allow_null=True, max_length=63)
    kind = serializers.CharField(max_length=16)
    format = serializers.CharField(max_length=8)
    filters = serializers.DictField(
        required=False,
        help_text="As of a queue, and since, until (RFC 3339), rubric_version (number).",
    )
    label_rule = serializers.CharField(
        required=False, allow_null=True, max_length=16, help_text=", ".join(LABEL_RULES)
    )
    split = serializers.CharField(
        required=False, allow_null=True, max_length=16, help_text=", ".join(SPLITS)
    )


class DatasetSerializer(serializers.Serializer[Any]):
    """A dataset; the keys of its manifest stand beside these once it is complete."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    number = serializers.IntegerField()
    queue = serializers.CharField()
    question = serializers.CharField(allow_null=True)
    kind = serializers.CharField()
    format = serializers.CharField()
    label_rule = serializers.CharField()
    filters = serializers.DictField()
    status = serializers.CharField()
    job = serializers.UUIDField(allow_null=True)
    rows = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class DatasetPageSerializer(serializers.Serializer[Any]):
    results = DatasetSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class DatasetsView(APIView):
    permissions = {"GET": "datasets:read", "POST": "datasets:write"}

    @extend_schema(operation_id="datasets_list", parameters=PAGING, responses=DatasetPageSerializer)
    def get(self, request: ActorRequest) -> Response:
        found, following = paging.page(
            selectors.datasets(request.user),
            request.query_params,
            after=selectors.datasets_after,
            key=selectors.key_of,
        )
        return Response(
            {"results": [selectors.as_summary(row) for row in found], "next": following}
        )

    @extend_schema(
        operation_id="datasets_create", request=DatasetInSerializer, responses={202: JobSerializer}
    )
    def post(self, request: ActorRequest) -> Response:
        given = valid(DatasetInSerializer, request)
        queue = queues.get_queue(request.user, given.pop("queue"))
        return accepted(services.ask_for_dataset(request.user, queue=queue, **given)[1])


class DatasetView(APIView):
    permissions = {"GET": "datasets:read"}

    @extend_schema(operation_id="datasets_read", responses=DatasetSerializer)
    def get(self, request: ActorRequest, dataset_id: UUID) -> Response:
        return Response(selectors.as_answer(selectors.get_dataset(request.user, dataset_id)))


class DatasetFileView(APIView):
    permissions = {"GET": "datasets:read"}

    @extend_schema(
        operation_id="datasets_file",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: ActorRequest, dataset_id: UUID, name: str) -> FileResponse:
        return selectors.get_file(request.user, dataset_id, name).as_response()
