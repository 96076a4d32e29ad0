"""The floors of the house, read from the imports: they go down only, and never in a circle."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for top in ("oversight", "scoring", "review")
    for path in (ROOT / top).rglob("*.py")
    if "migrations" not in path.parts
)

# What a floor may import of ours. The longest matching prefix of a module decides its floor.
FLOORS: dict[str, tuple[str, ...]] = {
    "oversight.lib": (),
    "oversight.local": ("oversight.lib",),
    "oversight.web": ("oversight.lib", "oversight.local"),
    "scoring.core": (),
    "oversight.tenancy": ("oversight.lib", "oversight.audit"),
    "oversight.audit": ("oversight.lib", "oversight.tenancy"),
    "oversight.jobs": ("oversight.lib", "oversight.tenancy", "oversight.audit"),
    "scoring": (
        "scoring.core",
        "oversight.lib",
        "oversight.tenancy",
        "oversight.audit",
        "oversight.jobs",
    ),
    "review": (
        "scoring",
        "scoring.core",
        "oversight.lib",
        "oversight.tenancy",
        "oversight.audit",
        "oversight.jobs",
    ),
    "oversight": (
        "review",
        "scoring",
        "scoring.core",
        "oversight.lib",
        "oversight.local",
        "oversight.web",
        "oversight.tenancy",
        "oversight.audit",
        "oversight.jobs",
    ),
}
# Floors inside an app, top down: a module imports its own level and those below.
LEVELS = (
    ("urls",),
    ("views", "api", "tasks", "ticks", "management", "templatetags"),
    ("services", "selectors", "access", "authentication", "forms"),
    ("models",),
)
# Outside packages that only some may import.
ONLY_IN = {
    "torch": ("scoring.core.torch_hooks",),
    "django": ("oversight", "scoring", "review"),
    "re2": ("scoring.core.invariants",),
    "jsonschema": ("scoring.core.invariants",),
}
CORE_MAY_IMPORT = {
    "numpy",
    "scipy",
    "sklearn",
    "scoring",
    "re2",
    "jsonschema",
    "torch",
    "referencing",
}
# What speaks to other machines, and who of us may: nothing that was sent in is ever fetched.
SPEAKS = {"http.client", "httpx", "requests", "urllib.request", "urllib3", "smtplib", "ftplib"}
SPEAKERS = {"oversight.client"}  # for those who send records; the demonstration does, to itself
CATCH_ALL = {"utils", "helpers", "misc", "common"}
MAX_LINES = 400


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> str | None:
    fitting = [name for name in FLOORS if module == name or module.startswith(name + ".")]
    return max(fitting, key=len, default=None)


def level_of(module: str) -> int | None:
    for part in module.split(".")[1:]:
        for level, names in enumerate(LEVELS):
            if part in names:
                return level
    return None


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def is_module(name: str) -> bool:
    place = ROOT / Path(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").exists()


@functools.cache
def imports_of(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in names if is_module(name)] or [node.module]
            found += [(name, node.lineno) for name in modules]
    return found


def test_there_is_something_to_read():
    assert len(SOURCES) > 50


def every_import():
    """(module, imported, line) of all sources."""
    for path in SOURCES:
        for imported, line in imports_of(path):
            yield module_of(path), imported, line


def test_imports_go_down_only():
    wrong = []
    for module, imported, line in every_import():
        floor, target = floor_of(module), floor_of(imported)
        if target not in (None, floor) and target not in FLOORS[floor]:
            wrong.append(f"{module}:{line} imports {imported}: {floor} -> {target}")
    assert not wrong


def test_levels_of_an_app():
    wrong = []
    for module, imported, line in every_import():
        floor = floor_of(module)
        if floor in ("scoring.core", "oversight.lib", "oversight.local", "oversight"):
            continue
        mine, theirs = level_of(module), level_of(imported)
        if None not in (mine, theirs) and floor_of(imported) == floor and theirs < mine:
            wrong.append(f"{module}:{line} imports upwards: {imported}")
    assert not wrong


def test_outside_packages_stay_where_they_belong():
    wrong = []
    for module, imported, line in every_import():
        top = imported.split(".")[0]
        allowed = top in CORE_MAY_IMPORT or top in sys.stdlib_module_names
        if floor_of(module) == "scoring.core" and not allowed:
            wrong.append(f"{module}:{line} imports {imported}")
        if top in ONLY_IN and not module.startswith(ONLY_IN[top]):
            wrong.append(f"{module}:{line} imports {imported}")
    assert not wrong


def test_nobody_speaks_to_other_machines():
    """All that goes out goes to PostgreSQL, the broker, and the provider of single sign-on."""
    speakers, users = set(), set()
    for module, imported, _ in every_import():
        if any(imported == name or imported.startswith(name + ".") for name in SPEAKS):
            speakers.add(module)
        if imported in SPEAKERS:
            users.add(module)
    assert speakers == SPEAKERS
    assert users == {"oversight.demo.projects"}


def test_files_are_small_and_named():
    lengths = {module_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert not {module: n for module, n in lengths.items() if n > MAX_LINES}
    assert not {path.stem for path in SOURCES} & CATCH_ALL


def test_no_imports_inside_functions():
    wrong = []
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
                wrong += [f"{path}:{found.lineno}" for found in inner]
    assert not wrong


def test_no_django_signals_and_no_pickle():
    for path in SOURCES:
        names = {name.split(".")[0] for name, _ in imports_of(path)}
        assert "pickle" not in names, path
        assert "django.dispatch" not in {name for name, _ in imports_of(path)}, path


_WEB = """
import sys, warnings
warnings.simplefilter("ignore")
import oversight.wsgi
from django.urls import get_resolver
get_resolver().reverse_dict
print("sklearn" in sys.modules, "oversight.urls" in sys.modules)
"""


def test_a_web_process_loads_nothing_that_only_fitting_needs():
    """Scikit-learn costs every web process 35 MiB and a second of its start."""
    told = subprocess.run([sys.executable, "-c", _WEB], capture_output=True, text=True, cwd=ROOT)
    assert told.stdout.split() == ["False", "True"], told.stderr
