"""The invariant language, version 1: a frozen syntax tree of conditions over an inference record.

Predicates say what is *there* (a regex matches, an email address is present): forbidding is `none`,
requiring `all`. Fields are named as in the document, but `target` (spelled `in`) and `other`
(`with`); each carries the bound of its value as metadata, which `parse` enforces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from scoring.core.invariants.vocabulary import (
    CODE,
    INVISIBLE,
    MAX_PATTERN_CHARS,
    MAX_TERM_CHARS,
    MAX_TERMS,
    PERSONAL_DATA,
    SCRIPTS,
    SECRETS,
    SHAPES,
    TARGETS,
    URL_KINDS,
    Flag,
    JsonText,
    Number,
    Scalars,
    Spec,
    Text,
    Texts,
)


def _of(spec: Spec, default: Any = ...) -> Any:
    if default is ...:
        return field(metadata={"spec": spec})
    return field(default=default, metadata={"spec": spec})


def _target(default: str = "output") -> Any:
    return field(default=default, metadata={"spec": Text(choices=TARGETS), "name": "in"})


_COUNT = Number(1, 32, whole=True)
_SHARE = Number(0.0, 1.0)
_MISSING = Text(choices=("holds", "fails"))


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Any node; `path` is where it stood in the document, and no part of its identity."""

    path: str = field(default="", compare=False, repr=False)

    def problem(self) -> str | None:
        """What the single fields cannot say about themselves, or None."""
        return None


@dataclass(frozen=True, kw_only=True)
class Predicate(Condition):
    """A leaf: true or false of one record; `check` is its name in the document."""

    check: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class Regex(Predicate):
    """At least `min_count` matches of an RE2 pattern."""

    check = "regex"
    pattern: str = _of(Text(1, MAX_PATTERN_CHARS))
    ignore_case: bool = _of(Flag(), False)
    min_count: int = _of(_COUNT, 1)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class Terms(Predicate):
    """Any (or all) of the terms occur, compared after NFKC, case folding and invisibles removed.

    White space inside a term matches any run of white space. `whole_words` asks that no letter or
    digit adjoins, but in scripts written without spaces.
    """

    check = "terms"
    terms: tuple[str, ...] = _of(Texts(Text(1, MAX_TERM_CHARS), 1, MAX_TERMS))
    require: str = _of(Text(choices=("any", "all")), "any")
    whole_words: bool = _of(Flag(), True)
    min_count: int = _of(_COUNT, 1)
    target: str = _target()

    def problem(self) -> str | None:
        if self.require == "all" and self.min_count != 1:
            return "min_count says nothing where all terms are required"
        return None


@dataclass(frozen=True, kw_only=True)
class Length(Predicate):
    """The number of characters, words or lines lies in [min, max]; exact at any length."""

    check = "length"
    unit: str = _of(Text(choices=("chars", "words", "lines")), "chars")
    min: float | None = _of(Number(0, 1e9, whole=True), None)
    max: float | None = _of(Number(0, 1e9, whole=True), None)
    target: str = _target()

    def problem(self) -> str | None:
        return _bounds_problem(self.min, self.max)


@dataclass(frozen=True, kw_only=True)
class Json(Predicate):
    """The text is one JSON value, valid under the bounded schema where one is given."""

    check = "json"
    schema: str | None = _of(JsonText(), None)
    allow_fence: bool = _of(Flag(), False)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class OneOf(Predicate):
    """The text without outer white space is one of the values."""

    check = "one_of"
    values: tuple[str, ...] = _of(Texts(Text(0, 200), 1, 256))
    ignore_case: bool = _of(Flag(), False)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class ContextIs(Predicate):
    """A context field has one of the values; `missing` says whether it holds without it."""

    check = "context"
    name: str = _of(Text(1, 100))
    values: tuple[str | float | bool, ...] = _of(Scalars(1, 256))
    missing: str = _of(_MISSING, "fails")


@dataclass(frozen=True, kw_only=True)
class InRange(Predicate):
    """A number of signals or context lies in [min, max]; `missing` says if it holds without."""

    check = "number"
    of: str = _of(Text(choices=("signals", "context")), "signals")
    name: str = _of(Text(1, 100))
    min: float | None = _of(Number(), None)
    max: float | None = _of(Number(), None)
    missing: str = _of(_MISSING, "holds")

    def problem(self) -> str | None:
        return _bounds_problem(self.min, self.max)


@dataclass(frozen=True, kw_only=True)
class PersonalData(Predicate):
    """At least `min_count` pieces of personal data of the kinds, checksums verified."""

    check = "personal_data"
    kinds: tuple[str, ...] = _of(Texts(Text(choices=PERSONAL_DATA), 1, len(PERSONAL_DATA)))
    min_count: int = _of(_COUNT, 1)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class Secrets(Predicate):
    """A credential of one of the kinds is spelled out."""

    check = "secrets"
    kinds: tuple[str, ...] = _of(Texts(Text(choices=SECRETS), 1, len(SECRETS)), SECRETS)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class Code(Predicate):
    """A code pattern of one of the kinds; `fenced` looks inside fenced code blocks only."""

    check = "code"
    kinds: tuple[str, ...] = _of(Texts(Text(choices=CODE), 1, len(CODE)))
    fenced: bool = _of(Flag(), False)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class Shape(Predicate):
    """The text has the shape of a refusal, of compliance, of talk about itself, and so on."""

    check = "shape"
    shape: str = _of(Text(choices=SHAPES))
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class Urls(Predicate):
    """A link of one of the kinds, to a denied host, or outside the allowed hosts (where given).

    A host entry covers its subdomains. The tests are alternatives: any offending link counts.
    """

    check = "urls"
    kinds: tuple[str, ...] = _of(Texts(Text(choices=URL_KINDS), 0, len(URL_KINDS)), ())
    deny_hosts: tuple[str, ...] = _of(Texts(Text(1, 253), 0, 500), ())
    allow_hosts: tuple[str, ...] = _of(Texts(Text(1, 253), 0, 500), ())
    target: str = _target()

    def problem(self) -> str | None:
        if not (self.kinds or self.deny_hosts or self.allow_hosts):
            return "needs kinds, deny_hosts or allow_hosts"
        return None


@dataclass(frozen=True, kw_only=True)
class ScriptShare(Predicate):
    """The share of letters written in the scripts lies in [min, max].

    True where the text has fewer than `min_letters` letters: too short to say.
    """

    check = "script"
    scripts: tuple[str, ...] = _of(Texts(Text(choices=SCRIPTS), 1, len(SCRIPTS)))
    min: float = _of(_SHARE, 0.0)
    max: float = _of(_SHARE, 1.0)
    min_letters: int = _of(Number(0, 10_000, whole=True), 20)
    target: str = _target()

    def problem(self) -> str | None:
        return _bounds_problem(self.min, self.max)


@dataclass(frozen=True, kw_only=True)
class MixedScript(Predicate):
    """A word of four letters or more mixes Latin with Greek or Cyrillic, as look-alikes do."""

    check = "mixed_script"
    min_count: int = _of(_COUNT, 1)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class Invisible(Predicate):
    """At least `min_count` characters that are not seen but are read by machines."""

    check = "invisible"
    kinds: tuple[str, ...] = _of(Texts(Text(choices=INVISIBLE), 1, len(INVISIBLE)), INVISIBLE)
    min_count: int = _of(_COUNT, 1)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class Repetition(Predicate):
    """The share of repeated n-grams or lines, or the compressed-away share, exceeds `max_share`.

    False where the text has fewer than `min_size` words, lines or bytes respectively.
    """

    check = "repetition"
    of: str = _of(Text(choices=("ngrams", "lines", "bytes")), "ngrams")
    n: int = _of(Number(1, 16, whole=True), 4)
    max_share: float = _of(_SHARE, 0.5)
    min_size: int = _of(Number(1, 100_000, whole=True), 40)
    target: str = _target()


@dataclass(frozen=True, kw_only=True)
class Overlap(Predicate):
    """`run_words` consecutive words, or a share of its word n-grams, are found in the other text.

    Words are compared without case and punctuation. Give exactly one of `run_words`, `min_share`.
    """

    check = "overlap"
    other: str = field(metadata={"spec": Text(choices=TARGETS), "name": "with"})
    run_words: int | None = _of(Number(3, 64, whole=True), None)
    min_share: float | None = _of(Number(0.01, 1.0), None)
    n: int = _of(Number(1, 16, whole=True), 3)
    min_words: int = _of(Number(1, 1_000, whole=True), 12)
    target: str = _target()

    def problem(self) -> str | None:
        if (self.run_words is None) == (self.min_share is None):
            return "needs exactly one of run_words and min_share"
        if self.other == self.target:
            return "compares a text with itself"
        return None


@dataclass(frozen=True, kw_only=True)
class OpenFence(Predicate):
    """A Markdown code fence is opened and never closed, as in a cut-off answer."""

    check = "open_fence"
    target: str = _target()


PREDICATES: tuple[type[Predicate], ...] = (
    Regex,
    Terms,
    Length,
    Json,
    OneOf,
    ContextIs,
    InRange,
    PersonalData,
    Secrets,
    Code,
    Shape,
    Urls,
    ScriptShare,
    MixedScript,
    Invisible,
    Repetition,
    Overlap,
    OpenFence,
)


@dataclass(frozen=True, kw_only=True)
class All(Condition):
    """Every child holds."""

    children: tuple[Condition, ...]


@dataclass(frozen=True, kw_only=True)
class Any_(Condition):
    """At least one child holds."""

    children: tuple[Condition, ...]


@dataclass(frozen=True, kw_only=True)
class Not(Condition):
    """The child does not hold."""

    child: Condition


@dataclass(frozen=True, kw_only=True)
class Implies(Condition):
    """Where the premise holds, the conclusion does."""

    premise: Condition
    conclusion: Condition


@dataclass(frozen=True, kw_only=True)
class ForRegions(Condition):
    """The child holds in these regions; "EU" covers "EU" and "EU-DE"; elsewhere it is true."""

    regions: tuple[str, ...]
    child: Condition


@dataclass(frozen=True, kw_only=True)
class WhenModel(Condition):
    """The child holds for these models: `name` or `name@version`, each with an optional final `*`.

    For other models it is true.
    """

    models: tuple[str, ...]
    child: Condition


@dataclass(frozen=True, kw_only=True)
class Invariant:
    """A condition that must hold of every record, and what follows where it does not.

    Attributes
    ----------
    key, title : identity within a set, and one line for people.
    clause : key of the policy clause that it enforces.
    severity : one of `SEVERITIES`.
    condition : what must hold.
    effect : "flag", "block" or "replace"; `replacement` is the text that "replace" puts instead.
    weight : what a violation adds to the raw score, in [0, 100].
    regions : where it applies, as in `ForRegions`; empty means everywhere.
    """

    key: str
    title: str
    clause: str
    severity: str
    condition: Condition
    effect: str = "flag"
    replacement: str | None = None
    weight: float = 1.0
    regions: tuple[str, ...] = ()


def _bounds_problem(low: float | None, high: float | None) -> str | None:
    if low is None and high is None:
        return "needs min or max"
    if low is not None and high is not None and low > high:
        return "min is greater than max"
    return None
