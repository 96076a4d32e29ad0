"""What keeps released scorers frozen and light: the imports of version modules."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[3] / "scoring" / "core"
VERSIONS = sorted(CORE.glob("scorers/*_v[0-9]*.py"))
ONLY_FITTING = ("fitting", "trimming")
DETECTORS = sorted(p for p in CORE.glob("detectors/*.py") if p.stem not in ONLY_FITTING)
SCORING = [*VERSIONS, *DETECTORS]
ALLOWED = ("scoring.core.detectors.", "scoring.core.covariance", "scoring.core.state")
CONTRACTS = ("scoring.core.scorers.contract", "scoring.core.detectors.contract")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "scoring.core.scorers":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def is_frozen(module):
    name = module.rpartition(".")[2]
    return module.startswith("scoring.core.scorers.") and "_v" in name


@pytest.mark.parametrize("path", SCORING, ids=lambda path: path.stem)
def test_scoring_modules_import_frozen_code_and_numpy_only(path):
    for module in imported(path):
        top = module.partition(".")[0]
        if top == "scoring":
            assert is_frozen(module) or module in CONTRACTS or module.startswith(ALLOWED), module
            assert module.rpartition(".")[2] not in ONLY_FITTING
        else:
            assert top == "numpy" or top in sys.stdlib_module_names, module


def test_versions_are_there():
    assert {path.stem for path in VERSIONS} >= {"cold_start_v1", "percentile_v1", "ensemble_v1"}


def test_a_monitor_needs_numpy_alone():
    """The whole scoring path, imported where scipy, scikit-learn, torch and Django must not be."""
    program = (
        "import sys, scoring.core.scorers, scoring.core.fingerprint;"
        "print([m for m in ('scipy', 'sklearn', 'torch', 'django') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=CORE.parents[1],
        check=True,
    )
    assert done.stdout.strip() == "[]"
