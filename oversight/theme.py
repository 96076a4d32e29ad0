"""Light, dark, or as the system says: kept in a cookie, so that the first paint is right."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

THEMES = (("system", "Auto"), ("light", "Light"), ("dark", "Dark"))
_ONE_YEAR_SECONDS = 365 * 86_400


def _cookie() -> str:
    return f"{settings.COOKIE_PREFIX}theme"


def chosen_theme(request: HttpRequest) -> str:
    value = request.COOKIES.get(_cookie(), "system")
    return value if value in dict(THEMES) else "system"


def theme_context(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what the switch in the account menu shows."""
    return {"themes": THEMES, "theme": chosen_theme(request)}


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keep the choice and go back to the page it was made on."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        target = "/"
    theme = request.POST.get("theme", "system")
    response = redirect(target)
    if theme in dict(THEMES) and theme != "system":
        response.set_cookie(
            _cookie(),
            theme,
            max_age=_ONE_YEAR_SECONDS,
            secure=settings.HTTPS,
            httponly=True,
            samesite="Lax",
        )
    else:
        response.delete_cookie(_cookie(), samesite="Lax")
    return response
