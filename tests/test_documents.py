"""What the documents name exists: files, tests, anchors. And what they say of pins and secrets."""

import ast
import functools
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
)
SECURITY = (ROOT / "docs/security.md").read_text()
_QUOTED = re.compile(r"`([^`\s]+)`")
_OURS = ("oversight/", "scoring/", "review/", "tests/", "benchmarks/", "static/", "docs/")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
# The items of ASVS 5.0.0 that the page answers for, and how many there are of each section.
ITEMS = {
    **{"1.2.10": 1, "1.3.5": 1, "1.3.6": 1, "1.5.3": 1, "2.3.3": 1, "2.3.4": 1, "2.3.5": 1},
    **{"3.2.2": 1, "3.3": 5, "3.4": 8, "3.5": 8, "4.1.3": 1, "5.2.3": 1, "5.3.2": 1, "5.3.3": 1},
    **{"6.3": 8, "7.2": 4, "7.3": 2, "7.4": 5, "8.2": 4, "8.3": 3, "8.4": 2, "13.2": 6},
    **{"14.2": 8, "14.3": 3, "15.3": 7, "15.4": 4, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 4},
}


@functools.cache
def names_in(path: str) -> set[str]:
    """`name` of each test function, `Class::name` where it is in a class."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        names = [one.name for one in inner if isinstance(one, ast.FunctionDef)]
        found |= {prefix + name for name in names if name.startswith("test_")}
    return found


def rows() -> dict[str, list[str]]:
    """The cells of each row of the ASVS table, by item."""
    lines = SECURITY.partition("## ASVS")[2].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return {row[0]: row[1:] for row in cells if re.fullmatch(r"\d+\.\d+\.\d+", row[0])}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_exists(document):
    text = (ROOT / document).read_text()
    missing = []
    for name in _QUOTED.findall(text):
        path, _, test = name.partition("::")
        if not path.startswith(_OURS) or not Path(path).suffix or set("*<{…") & set(path):
            continue
        if not (ROOT / path).exists() or (test and test not in names_in(path)):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    here = ROOT / document
    wrong = []
    for link in _LINK.findall(here.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = here.parent / path if path else here
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            wrong.append(link)
    assert wrong == []


def _anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_every_item_of_the_standard_has_its_row():
    found = list(rows())
    counted = {
        item: sum(one == item or one.startswith(item + ".") for one in found) for item in ITEMS
    }
    assert counted == ITEMS
    assert len(found) == sum(ITEMS.values())


def test_what_is_met_has_a_test_or_says_why_not():
    wrong, tests = [], ""
    for item, (_, how, shown) in rows().items():
        tests = shown if shown != "the same" else tests
        if how.startswith("met") and "::" not in tests and not shown.startswith("none"):
            wrong.append(item)
    assert wrong == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_dependencies_are_pinned_by_hash(name):
    text = re.sub(r"\\\n", " ", (ROOT / name).read_text())
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(lines) > 30
    pinned = re.compile(r"[\w.\-]+(\[[\w,\-]+\])?==\S+.* --hash=sha256:[0-9a-f]{64}")
    assert [line for line in lines if not pinned.match(line)] == []


def test_the_image_installs_by_hash():
    assert "--require-hashes -r requirements.txt" in (ROOT / "Dockerfile").read_text()


def test_compose_has_no_secret_of_its_own():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    given = {
        name: value
        for service in services.values()
        for name, value in (service.get("environment") or {}).items()
        if name.endswith(("PASSWORD", "SECRET_KEY"))
    }
    assert given
    assert {value for value in given.values() if not value.endswith(":?}")} == set()
