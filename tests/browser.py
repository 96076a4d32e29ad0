"""Where the browser is that tests drive."""

import os
from pathlib import Path

import pytest


def require_browser() -> str:
    """Chromium's path; skips where there is none, unless OVERSIGHT_REQUIRE_BROWSER=1."""
    found = next(
        (
            path
            for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser")
            if Path(path).exists()
        ),
        None,
    )
    if found is None:
        if os.environ.get("OVERSIGHT_REQUIRE_BROWSER") == "1":
            pytest.fail("a browser is required, and there is no chromium")
        pytest.skip("no chromium on this machine")
    return found
