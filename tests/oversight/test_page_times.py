"""Times on pages say that they are UTC, beside them or at the head of their column."""

import re

import pytest
from django.conf import settings

CLOCK = re.compile(r'\|date:"[^"]*H:i[^"]*"')
TEMPLATES = sorted(settings.BASE_DIR.glob("templates/**/*.html"))
SHOWING = [path for path in TEMPLATES if CLOCK.search(path.read_text())]


@pytest.mark.parametrize("path", SHOWING, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_time_of_day_names_its_zone(path):
    text = path.read_text()
    has_column = re.search(r"\(UTC\)</th>", text) is not None
    beside = [" UTC" in line[line.rindex("H:i") :] for line in text.splitlines() if "H:i" in line]
    assert has_column or all(beside)


def test_there_are_times_to_look_at():
    assert len(SHOWING) > 15
