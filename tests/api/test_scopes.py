"""What a key's scope opens: by the method of the request, and nothing that no view has named."""

import pytest
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from oversight.urls import api as addresses


class Half(APIView):
    """A view that names a permission for one of its methods and forgot the other."""

    permissions = {"GET": "policies:read"}

    def get(self, request):
        return Response({})

    def post(self, request):
        return Response({})


@pytest.mark.parametrize("path", ["records", "drift", "datasets", "queues"])
def test_head_asks_for_what_get_asks_for(world, path):
    writer, reader = world.api("records:write"), world.api("admin")
    for method in ("GET", "HEAD"):
        assert writer(method, path).status_code == 403
        assert reader(method, path).status_code in (200, 400)


@pytest.mark.parametrize(
    ("method", "status"), [("get", 200), ("head", 200), ("post", 403), ("put", 405)]
)
def test_a_method_without_a_permission_is_refused(world, method, status):
    header = f"Bearer {world.key('records:read')}"
    request = getattr(APIRequestFactory(), method)("/", HTTP_AUTHORIZATION=header)
    assert Half.as_view()(request).status_code == status


def test_every_method_of_the_api_names_its_permission():
    found = []

    def walk(patterns):
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                walk(pattern.url_patterns)
                continue
            view = pattern.callback.cls
            methods = {name.upper() for name in view.http_method_names if hasattr(view, name)}
            found.append((pattern.name, methods - {"OPTIONS"} - view.permissions.keys()))

    walk(addresses)
    assert len(found) > 40
    assert [(name, forgotten) for name, forgotten in found if forgotten] == []
