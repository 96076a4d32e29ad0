"""Markdown of policies as HTML: the one place where a template prints markup that people wrote.

Policy authors are members, yet their text reaches every reviewer, so it is treated as hostile: raw
HTML is not parsed, and what was rendered is cleaned by an allow-list once more. Images are dropped,
for an image tells its server who reads.
"""

from functools import lru_cache

import nh3
from django import template
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

register = template.Library()

_TAGS = {
    "a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    # A heading inside a clause would break the outline of the page round it.
    parser.add_render_rule("heading_open", lambda *_: "<p><strong>")
    parser.add_render_rule("heading_close", lambda *_: "</strong></p>\n")
    return parser


_PARSER = _parser()


@lru_cache(maxsize=512)
def render(text: str) -> str:
    """Clean HTML of a Markdown text."""
    return nh3.clean(
        _PARSER.render(text),
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


@register.filter
def markdown(text: str) -> SafeString:
    """`{{ clause.text|markdown }}`"""
    return mark_safe(render(text))  # noqa: S308  # cleaned by an allow-list in `render`
