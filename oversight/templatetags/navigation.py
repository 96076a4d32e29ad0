"""Template tags of the frame: the project's links and the chosen theme.

Views put their `actor` into the context; the frame needs nothing else from them.
"""

from typing import Any

from django import template
from django.template import Context
from django.utils.html import format_html

from oversight.navigation import SETTINGS_PLACES, project_links
from oversight.theme import chosen_theme

register = template.Library()


@register.inclusion_tag("oversight/_navigation.html", takes_context=True)
def project_navigation(context: Context) -> dict[str, Any]:
    """The links of the project that the page's actor may follow."""
    return {"items": project_links(context["actor"], context["request"].path)}


@register.inclusion_tag("oversight/_settings_tabs.html", takes_context=True)
def settings_tabs(context: Context) -> dict[str, Any]:
    """The tabs of the settings that the page's actor may open."""
    path = context["request"].path
    return {"items": project_links(context["actor"], path, SETTINGS_PLACES)}


@register.simple_tag(takes_context=True)
def theme_attribute(context: Context) -> str:
    """` data-theme="…"` where the person chose a theme, else nothing: the system decides."""
    request = context.get("request")
    theme = chosen_theme(request) if request is not None else "system"
    return "" if theme == "system" else format_html(' data-theme="{}"', theme)
