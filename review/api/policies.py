"""`/api/v1/policies/…`: policies, their versions, publishing and differences."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.tenancy.authentication import ActorRequest
from review.api import versions as common
from review.clauses import SEVERITIES
from review.models import PolicyVersion
from review.selectors import policies as selectors
from review.services import policies as services


class ClauseSerializer(serializers.Serializer[Any]):
    key = serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,62}$")
    title = serializers.CharField(max_length=200)
    text = serializers.CharField(help_text="Markdown")
    severity = serializers.ChoiceField(SEVERITIES)


class PolicyVersionInSerializer(serializers.Serializer[Any]):
    introduction = serializers.CharField(required=False, allow_blank=True)
    changelog = serializers.CharField(required=False, allow_blank=True)
    # Checked by the service, whose errors name the path within a clause.
    clauses = serializers.ListField(help_text="[{key, title, text, severity}]")


class PolicyDraftSerializer(PolicyVersionInSerializer, common.PublishSerializer):
    pass


class PolicyVersionSerializer(common.VersionSerializer):
    introduction = serializers.CharField()
    clauses = ClauseSerializer(many=True)


class PolicyVersionPageSerializer(serializers.Serializer[Any]):
    results = PolicyVersionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class PolicyDiffSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    against = serializers.IntegerField()
    introduction = serializers.ListField(child=serializers.DictField())
    clauses = common.ChangeSerializer(many=True)


def _told(version: PolicyVersion) -> dict[str, Any]:
    return {
        **common.version(version),
        "introduction": version.introduction,
        "clauses": [
            {**plain, "digest": clause.digest}
            for plain, clause in zip(
                selectors.clauses_as_plain(version), version.clauses.all(), strict=True
            )
        ],
    }


class PoliciesView(APIView):
    permissions = {"GET": "policies:read", "POST": "policies:write"}

    @extend_schema(
        operation_id="policies_list",
        parameters=common.PAGING,
        responses=common.NamedPageSerializer,
    )
    def get(self, request: ActorRequest) -> Response:
        return Response(common.named_page(selectors.policies(request.user), request))

    @extend_schema(
        operation_id="policies_create",
        request=common.NamedInSerializer,
        responses={201: common.NamedSerializer},
    )
    def post(self, request: ActorRequest) -> Response:
        given = common.valid(common.NamedInSerializer, request)
        policy = services.create_policy(request.user, **given)
        return Response(common.named(selectors.get_policy(request.user, policy.slug)), status=201)


class PolicyVersionsView(APIView):
    permissions = {"GET": "policies:read", "POST": "policies:write"}

    @extend_schema(
        operation_id="policy_versions_list",
        parameters=common.PAGING,
        responses=PolicyVersionPageSerializer,
    )
    def get(self, request: ActorRequest, slug: str) -> Response:
        rows = selectors.versions(selectors.get_policy(request.user, slug))
        return Response(common.version_page(rows, request, _told))

    @extend_schema(
        operation_id="policy_versions_create",
        request=PolicyVersionInSerializer,
        responses={201: PolicyVersionSerializer},
    )
    def post(self, request: ActorRequest, slug: str) -> Response:
        given = common.valid(PolicyVersionInSerializer, request)
        version = services.draft_policy(request.user, slug=slug, **given)
        return Response(_told(version), status=201)


class PolicyVersionView(APIView):
    permissions = {"GET": "policies:read", "PUT": "policies:write"}

    @extend_schema(operation_id="policy_versions_read", responses=PolicyVersionSerializer)
    def get(self, request: ActorRequest, slug: str, number: int) -> Response:
        return Response(_told(selectors.get_version(request.user, slug, number)))

    @extend_schema(
        operation_id="policy_versions_save",
        request=PolicyDraftSerializer,
        responses=PolicyVersionSerializer,
    )
    def put(self, request: ActorRequest, slug: str, number: int) -> Response:
        given = common.valid(PolicyDraftSerializer, request)
        seen = given.pop("digest", None)
        version = services.save_policy_draft(
            request.user, slug=slug, number=number, seen_digest=seen, **given
        )
        return Response(_told(version))


class PolicyPublishView(APIView):
    permissions = {"POST": "policies:write"}

    @extend_schema(
        operation_id="policy_versions_publish",
        request=common.PublishSerializer,
        responses=PolicyVersionSerializer,
    )
    def post(self, request: ActorRequest, slug: str, number: int) -> Response:
        seen = common.valid(common.PublishSerializer, request).get("digest")
        return Response(
            _told(services.publish_policy(request.user, slug=slug, number=number, seen_digest=seen))
        )


class PolicyDiffView(APIView):
    permissions = {"GET": "policies:read"}

    @extend_schema(
        operation_id="policy_versions_diff",
        parameters=[common.AGAINST],
        responses=PolicyDiffSerializer,
    )
    def get(self, request: ActorRequest, slug: str, number: int) -> Response:
        earlier = common.against(request, number)
        introduction, clauses = selectors.changes(
            selectors.get_version(request.user, slug, earlier),
            selectors.get_version(request.user, slug, number),
        )
        return Response(
            {
                "number": number,
                "against": earlier,
                "introduction": [asdict(run) for run in introduction],
                "clauses": [common.change(told) for told in clauses],
            }
        )
