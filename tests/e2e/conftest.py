"""A real browser before the live server, with every complaint of it collected."""

import os
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from django.db import connections
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.browser import require_browser
from tests.sessions import PATIENCE_SECONDS

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"
WIDE: ViewportSize = {"width": 1280, "height": 860}
NARROW: ViewportSize = {"width": 320, "height": 700}
PATIENCE_MS = 1000 * PATIENCE_SECONDS

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = require_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield browser
        browser.close()
        # While Playwright's event loop runs, Django keeps connections apart from those that this
        # thread has without one. Nobody could end them after the loop.
        connections.close_all()


@dataclass
class Visitor:
    """A person at a browser: `page`, and what went wrong in it."""

    context: BrowserContext
    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("dialog", self._on_dialog)
        self.page.on("request", self._on_request)

    def _on_console(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _on_dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(self.base):
            self.foreign.append(request.url)
        if request.url.endswith("/csp-report"):
            self.complaints.append("a content-security report was sent")

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)

    def focused(self) -> str:
        return self.page.evaluate("document.activeElement?.tagName ?? 'NONE'")

    def overflow(self) -> int:
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def axe(self) -> list[str]:
        """The accessibility violations that axe finds on the page as it stands."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE + ";0")
        found = self.page.evaluate(
            "tags => axe.run(document, {runOnly: tags, resultTypes: ['violations']})"
            ".then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' | ')))",
            AXE_TAGS,
        )
        return [str(one)[:400] for one in found]

    def faults_of(self, paths: Iterable[str], statuses: Iterable[int] = (200,)) -> dict[str, Any]:
        """What is wrong with pages in light, in dark and at 320 px; nothing is as it should be.

        With OVERSIGHT_PICTURES, a folder, each is also photographed there.
        """
        faults: dict[str, Any] = {}
        for path in paths:
            answer = self.page.goto(self.base + path)
            if answer is None or answer.status not in statuses:
                faults[path] = f"answered {answer and answer.status}"
            self.page.evaluate(OPEN_ALL)
            for scheme in ("light", "dark"):
                self.page.emulate_media(color_scheme=scheme)
                self.page.set_viewport_size(WIDE)
                if found := self.axe():
                    faults[f"{path}, {scheme}"] = found
                for size in (WIDE, NARROW):
                    self.page.set_viewport_size(size)
                    if self.overflow() > 0:
                        faults[f"{path}, {size['width']} px"] = self.overflow()
                    self._photograph(path, f"{scheme}-{size['width']}")
        for kind in ("complaints", "foreign", "dialogs"):
            if found := getattr(self, kind):
                faults[kind] = found
        return faults

    def _photograph(self, path: str, how: str) -> None:
        if folder := os.environ.get("OVERSIGHT_PICTURES"):
            name = re.sub(r"\W+", "-", path).strip("-")[:80]
            self.page.screenshot(
                path=Path(folder, f"{name}-{how}.png"), full_page=True, timeout=90_000
            )


@pytest.fixture(autouse=True)
def _all_is_answered() -> Iterator[None]:
    """No test ends before the requests that it has made, nor the database before its sessions.

    The live server has a thread for each connection, and the thread a session of its own until
    the browser hangs up. A test's rows are removed, and the database is dropped, behind them.
    """
    yield
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "the live server still has a connection"


@pytest.fixture
def visit(browser: Browser, live_server: Any, client: Any) -> Iterator[Any]:
    """`visit(user, **context options)`: a visitor who is signed in as `user`."""
    contexts = []

    def start(user: Any = None, **options: Any) -> Visitor:
        context = browser.new_context(**{"viewport": WIDE, **options})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        if user is not None:
            client.force_login(user)
            session = client.cookies["sessionid"].value
            context.add_cookies(
                [{"name": "sessionid", "value": session, "url": live_server.url, "httpOnly": True}]
            )
        visitor = Visitor(context, context.new_page(), live_server.url)
        visitor.watch()
        return visitor

    yield start
    for context in contexts:
        context.close()
