"""`/api/v1/jobs/{id}`: how far long work is."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.jobs import selectors, services
from oversight.jobs.models import Job
from oversight.tenancy.authentication import ActorRequest


class JobSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(Job.Status.choices)
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    result = serializers.JSONField(allow_null=True)
    error = serializers.CharField(allow_null=True)


class JobView(APIView):
    permissions = {"GET": "jobs:read", "DELETE": "datasets:write"}

    @extend_schema(operation_id="jobs_read", responses=JobSerializer)
    def get(self, request: ActorRequest, job_id: UUID) -> Response:
        return Response(selectors.as_answer(selectors.get_job(request.user, job_id)))

    @extend_schema(operation_id="jobs_cancel", responses={204: None})
    def delete(self, request: ActorRequest, job_id: UUID) -> Response:
        services.cancel(request.user, selectors.get_job(request.user, job_id))
        return Response(status=204)


class JobReplayView(APIView):
    permissions = {"POST": "datasets:write"}

    @extend_schema(operation_id="jobs_replay", request=None, responses={202: JobSerializer})
    def post(self, request: ActorRequest, job_id: UUID) -> Response:
        services.replay(request.user, selectors.get_job(request.user, job_id))
        return accepted(selectors.get_job(request.user, job_id))


def accepted(job: Job) -> Response:
    """The answer to a request for long work: 202 with the job."""
    return Response(
        selectors.as_answer(job), status=202, headers={"Location": f"/api/v1/jobs/{job.pk}"}
    )
