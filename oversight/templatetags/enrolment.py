"""The QR code of two-factor enrolment, as a path in the page.

allauth offers it as a `data:` image, which the content-security policy rightly refuses.
"""

import re
from dataclasses import dataclass

from django import template

register = template.Library()

_VIEW_BOX = re.compile(r'viewBox="([0-9. ]+)"')
_PATH = re.compile(r'<path[^>]*\sd="([MmHhVvLlZz0-9., -]+)"')


@dataclass(frozen=True, slots=True)
class QrPath:
    view_box: str
    path: str


@register.simple_tag
def qr_path(svg: str) -> QrPath | None:
    """View box and path of an SVG drawn as one path; None where it is drawn otherwise."""
    view_box, path = _VIEW_BOX.search(svg), _PATH.search(svg)
    return QrPath(view_box.group(1), path.group(1)) if view_box and path else None
