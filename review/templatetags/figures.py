"""Shares and sizes in words, the same on every page."""

import math

from django import template

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """`12.3 %` with three digits that count; a dash for what is not known."""
    if share is None:
        return "–"
    value = 100.0 * share
    digits = 2 if value < 1.0 else 1
    if 0.0 < value < 0.001:
        return "<0.001\N{NO-BREAK SPACE}%"
    text = f"{value:.3g}" if 0.0 < value < 0.1 else f"{value:.{digits}f}"
    return f"{text}\N{NO-BREAK SPACE}%"


@register.filter
def size(count: float | None) -> str:
    """`1,234` for an effective size; `all` for what is known exactly."""
    if count is None:
        return "–"
    return "all" if math.isinf(count) else f"{count:,.0f}"
