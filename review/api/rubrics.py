"""`/api/v1/rubrics/…`: rubrics, their versions, publishing and differences."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from oversight.tenancy.authentication import ActorRequest
from review.api import versions as common
from review.models import RubricVersion
from review.questions import KINDS
from review.selectors import rubrics as selectors
from review.services import rubrics as services


class QuestionSerializer(serializers.Serializer[Any]):
    key = serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,62}$")
    text = serializers.CharField(max_length=400)
    kind = serializers.ChoiceField(KINDS)
    options = serializers.JSONField(
        allow_null=True,
        help_text="choice, multichoice: [{value, label}]; scale: {min, max, labels}; "
        "number: {min?, max?}",
    )
    required = serializers.BooleanField()  # type: ignore[assignment]  # moved away by the metaclass
    clauses = serializers.ListField(child=serializers.CharField())
    violation = serializers.JSONField(
        allow_null=True, help_text='{"in": [values]} or {"at_least": number}'
    )


class RubricVersionInSerializer(serializers.Serializer[Any]):
    policy = serializers.SlugField(
        required=False, help_text="May be left out where the project has one policy."
    )
    policy_version = serializers.IntegerField(
        required=False, min_value=1, help_text="The published one where absent."
    )
    changelog = serializers.CharField(required=False, allow_blank=True)
    # Checked by the service, whose errors name the path within a question.
    questions = serializers.ListField(
        help_text="[{key, text, kind, options?, required?, clauses?, violation?}]"
    )


class RubricDraftSerializer(RubricVersionInSerializer, common.PublishSerializer):
    pass


class RubricVersionSerializer(common.VersionSerializer):
    policy = serializers.CharField()
    policy_version = serializers.IntegerField()
    questions = QuestionSerializer(many=True)


class RubricVersionPageSerializer(serializers.Serializer[Any]):
    results = RubricVersionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class RubricDiffSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    against = serializers.IntegerField()
    questions = common.ChangeSerializer(many=True)


def _told(version: RubricVersion) -> dict[str, Any]:
    return {
        **common.version(version),
        "policy": version.policy_version.policy.slug,
        "policy_version": version.policy_version.number,
        "questions": services.as_plain(version),
    }


class RubricsView(APIView):
    permissions = {"GET": "policies:read", "POST": "policies:write"}

    @extend_schema(
        operation_id="rubrics_list",
        parameters=common.PAGING,
        responses=common.NamedPageSerializer,
    )
    def get(self, request: ActorRequest) -> Response:
        return Response(common.named_page(selectors.rubrics(request.user), request))

    @extend_schema(
        operation_id="rubrics_create",
        request=common.NamedInSerializer,
        responses={201: common.NamedSerializer},
    )
    def post(self, request: ActorRequest) -> Response:
        given = common.valid(common.NamedInSerializer, request)
        rubric = services.create_rubric(request.user, **given)
        return Response(common.named(selectors.get_rubric(request.user, rubric.slug)), status=201)


class RubricVersionsView(APIView):
    permissions = {"GET": "policies:read", "POST": "policies:write"}

    @extend_schema(
        operation_id="rubric_versions_list",
        parameters=common.PAGING,
        responses=RubricVersionPageSerializer,
    )
    def get(self, request: ActorRequest, slug: str) -> Response:
        rows = selectors.versions(selectors.get_rubric(request.user, slug))
        return Response(common.version_page(rows, request, _told))

    @extend_schema(
        operation_id="rubric_versions_create",
        request=RubricVersionInSerializer,
        responses={201: RubricVersionSerializer},
    )
    def post(self, request: ActorRequest, slug: str) -> Response:
        given = common.valid(RubricVersionInSerializer, request)
        version = services.draft_rubric(request.user, slug=slug, **given)
        return Response(_told(version), status=201)


class RubricVersionView(APIView):
    permissions = {"GET": "policies:read", "PUT": "policies:write"}

    @extend_schema(operation_id="rubric_versions_read", responses=RubricVersionSerializer)
    def get(self, request: ActorRequest, slug: str, number: int) -> Response:
        return Response(_told(selectors.get_version(request.user, slug, number)))

    @extend_schema(
        operation_id="rubric_versions_save",
        request=RubricDraftSerializer,
        responses=RubricVersionSerializer,
    )
    def put(self, request: ActorRequest, slug: str, number: int) -> Response:
        given = common.valid(RubricDraftSerializer, request)
        seen = given.pop("digest", None)
        version = services.save_rubric_draft(
            request.user, slug=slug, number=number, seen_digest=seen, **given
        )
        return Response(_told(version))


class RubricPublishView(APIView):
    permissions = {"POST": "policies:write"}

    @extend_schema(
        operation_id="rubric_versions_publish",
        request=common.PublishSerializer,
        responses=RubricVersionSerializer,
    )
    def post(self, request: ActorRequest, slug: str, number: int) -> Response:
        seen = common.valid(common.PublishSerializer, request).get("digest")
        return Response(
            _told(services.publish_rubric(request.user, slug=slug, number=number, seen_digest=seen))
        )


class RubricDiffView(APIView):
    permissions = {"GET": "policies:read"}

    @extend_schema(
        operation_id="rubric_versions_diff",
        parameters=[common.AGAINST],
        responses=RubricDiffSerializer,
    )
    def get(self, request: ActorRequest, slug: str, number: int) -> Response:
        earlier = common.against(request, number)
        questions = selectors.changes(
            selectors.get_version(request.user, slug, earlier),
            selectors.get_version(request.user, slug, number),
        )
        return Response(
            {
                "number": number,
                "against": earlier,
                "questions": [common.change(told) for told in questions],
            }
        )
