"""Read and write the invariant language as JSON documents, naming the path of every error."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from scoring.core.invariants.language import (
    PREDICATES,
    All,
    Any_,
    Condition,
    ForRegions,
    Implies,
    Invariant,
    Not,
    Predicate,
    WhenModel,
)
from scoring.core.invariants.vocabulary import (
    EFFECTS,
    LANGUAGE,
    MAX_DEPTH,
    MAX_INVARIANTS,
    MAX_NODES,
    MAX_REPLACEMENT_CHARS,
    SEVERITIES,
    Flag,
    InvariantSyntaxError,
    JsonText,
    Number,
    Scalars,
    Spec,
    Text,
    Texts,
)

_BY_CHECK = {predicate.check: predicate for predicate in PREDICATES}
_NAMES = Texts(Text(1, 200), 1, 64)
_KEY = Text(1, 100)


class _Budget:
    """Counts nodes of one condition, so that a document cannot ask for unbounded work."""

    def __init__(self) -> None:
        self.left = MAX_NODES

    def spend(self, path: str, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise InvariantSyntaxError(path, f"more than {MAX_NODES} nodes")
        if depth > MAX_DEPTH:
            raise InvariantSyntaxError(path, f"nested deeper than {MAX_DEPTH}")


def parse_document(document: object) -> tuple[Invariant, ...]:
    """Read `{"language": 1, "invariants": [...]}`.

    Raises
    ------
    ExceptionGroup
        of InvariantSyntaxError, the first of each invariant, so that an author sees them all.
    InvariantSyntaxError
        where the frame itself is wrong, or two invariants share a key.
    """
    fields = _object(document, "", {"language", "invariants"}, {"language", "invariants"})
    version = fields["language"]
    if isinstance(version, bool) or version != LANGUAGE:
        raise InvariantSyntaxError("/language", f"must be {LANGUAGE}")
    items = _list(fields["invariants"], "/invariants", 0, MAX_INVARIANTS)
    invariants: list[Invariant] = []
    errors: list[InvariantSyntaxError] = []
    for index, item in enumerate(items):
        try:
            invariants.append(parse_invariant(item, f"/invariants/{index}"))
        except InvariantSyntaxError as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("invalid invariants", errors)
    seen: set[str] = set()
    for index, invariant in enumerate(invariants):
        if invariant.key in seen:
            raise InvariantSyntaxError(f"/invariants/{index}/key", "is used twice")
        seen.add(invariant.key)
    return tuple(invariants)


def parse_invariant(document: object, path: str = "") -> Invariant:
    """Read one invariant; raises InvariantSyntaxError."""
    required = {"key", "title", "clause", "severity", "condition"}
    fields = _object(document, path, required | {"effect", "weight", "regions"}, required)
    effect, replacement = _effect(fields.get("effect", {"kind": "flag"}), f"{path}/effect")
    weight = _value(Number(0.0, 100.0), fields.get("weight", 1.0), f"{path}/weight")
    regions: tuple[str, ...] = ()
    if "regions" in fields:
        regions = _value(Texts(Text(1, 64), 0, 64), fields["regions"], f"{path}/regions")
    return Invariant(
        key=_value(_KEY, fields["key"], f"{path}/key"),
        title=_value(Text(1, 300), fields["title"], f"{path}/title"),
        clause=_value(_KEY, fields["clause"], f"{path}/clause"),
        severity=_value(Text(choices=SEVERITIES), fields["severity"], f"{path}/severity"),
        condition=parse_condition(fields["condition"], f"{path}/condition"),
        effect=effect,
        replacement=replacement,
        weight=float(weight),
        regions=regions,
    )


def parse_condition(document: object, path: str = "") -> Condition:
    """Read one condition; raises InvariantSyntaxError with the JSON pointer of the culprit."""
    return _condition(document, path, 1, _Budget())


def dump_document(invariants: tuple[Invariant, ...]) -> dict[str, object]:
    """The document that `parse_document` reads back as equal invariants."""
    return {"language": LANGUAGE, "invariants": [dump_invariant(item) for item in invariants]}


def dump_invariant(invariant: Invariant) -> dict[str, object]:
    """The document that `parse_invariant` reads back as an equal invariant."""
    effect: dict[str, object] = {"kind": invariant.effect}
    if invariant.replacement is not None:
        effect["text"] = invariant.replacement
    document: dict[str, object] = {
        "key": invariant.key,
        "title": invariant.title,
        "clause": invariant.clause,
        "severity": invariant.severity,
        "condition": dump_condition(invariant.condition),
        "effect": effect,
        "weight": invariant.weight,
    }
    if invariant.regions:
        document["regions"] = list(invariant.regions)
    return document


def dump_condition(condition: Condition) -> dict[str, object]:
    """The document that `parse_condition` reads back as an equal condition."""
    match condition:
        case All(children=children):
            return {"all": [dump_condition(child) for child in children]}
        case Any_(children=children):
            return {"any": [dump_condition(child) for child in children]}
        case Not(child=child):
            return {"not": dump_condition(child)}
        case Implies(premise=premise, conclusion=conclusion):
            return {"if": dump_condition(premise), "then": dump_condition(conclusion)}
        case ForRegions(regions=regions, child=child):
            return {"for_regions": list(regions), "then": dump_condition(child)}
        case WhenModel(models=models, child=child):
            return {"when_model": list(models), "then": dump_condition(child)}
        case Predicate():
            return _dump_predicate(condition)
    raise TypeError(f"not a condition: {type(condition).__name__}")


def _dump_predicate(predicate: Predicate) -> dict[str, object]:
    document: dict[str, object] = {"check": predicate.check}
    for item in _fields(type(predicate)):
        value = getattr(predicate, item.name)
        if value == item.default and type(value) is type(item.default):
            continue
        if isinstance(item.metadata["spec"], JsonText):
            value = json.loads(value)
        elif isinstance(value, tuple):
            value = list(value)
        document[item.metadata.get("name", item.name)] = value
    return document


def _condition(document: object, path: str, depth: int, budget: _Budget) -> Condition:
    budget.spend(path, depth)
    if not isinstance(document, Mapping):
        raise InvariantSyntaxError(path, "must be an object")
    if "check" in document:
        return _predicate(document, path)
    shapes: tuple[tuple[str, _Reader], ...] = (
        ("all", _read_all),
        ("any", _read_any),
        ("none", _read_none),
        ("not", _read_not),
        ("if", _read_implies),
        ("for_regions", _read_regions),
        ("when_model", _read_model),
    )
    for key, read in shapes:
        if key in document:
            return read(document, path, depth, budget)
    known = ", ".join(key for key, _ in shapes)
    raise InvariantSyntaxError(path, f"must have one of the keys check, {known}")


_Reader = Callable[[Mapping[str, object], str, int, _Budget], Condition]


def _children(
    document: Mapping[str, object], key: str, path: str, depth: int, budget: _Budget
) -> tuple[Condition, ...]:
    fields = _object(document, path, {key}, {key})
    items = _list(fields[key], f"{path}/{key}", 1, MAX_NODES)
    return tuple(
        _condition(item, f"{path}/{key}/{index}", depth + 1, budget)
        for index, item in enumerate(items)
    )


def _read_all(d: Mapping[str, object], path: str, depth: int, budget: _Budget) -> Condition:
    return All(path=path, children=_children(d, "all", path, depth, budget))


def _read_any(d: Mapping[str, object], path: str, depth: int, budget: _Budget) -> Condition:
    return Any_(path=path, children=_children(d, "any", path, depth, budget))


def _read_none(d: Mapping[str, object], path: str, depth: int, budget: _Budget) -> Condition:
    children = _children(d, "none", path, depth, budget)
    child = children[0] if len(children) == 1 else Any_(path=path, children=children)
    return Not(path=path, child=child)


def _read_not(d: Mapping[str, object], path: str, depth: int, budget: _Budget) -> Condition:
    fields = _object(d, path, {"not"}, {"not"})
    return Not(path=path, child=_condition(fields["not"], f"{path}/not", depth + 1, budget))


def _read_implies(d: Mapping[str, object], path: str, depth: int, budget: _Budget) -> Condition:
    fields = _object(d, path, {"if", "then"}, {"if", "then"})
    return Implies(
        path=path,
        premise=_condition(fields["if"], f"{path}/if", depth + 1, budget),
        conclusion=_condition(fields["then"], f"{path}/then", depth + 1, budget),
    )


def _read_regions(d: Mapping[str, object], path: str, depth: int, budget: _Budget) -> Condition:
    fields = _object(d, path, {"for_regions", "then"}, {"for_regions", "then"})
    return ForRegions(
        path=path,
        regions=_value(_NAMES, fields["for_regions"], f"{path}/for_regions"),
        child=_condition(fields["then"], f"{path}/then", depth + 1, budget),
    )


def _read_model(d: Mapping[str, object], path: str, depth: int, budget: _Budget) -> Condition:
    fields = _object(d, path, {"when_model", "then"}, {"when_model", "then"})
    return WhenModel(
        path=path,
        models=_value(_NAMES, fields["when_model"], f"{path}/when_model"),
        child=_condition(fields["then"], f"{path}/then", depth + 1, budget),
    )


def _predicate(document: Mapping[str, object], path: str) -> Predicate:
    name = document["check"]
    kind = _BY_CHECK.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvariantSyntaxError(f"{path}/check", f"must be one of {', '.join(_BY_CHECK)}")
    specs = {item.metadata.get("name", item.name): item for item in _fields(kind)}
    required = {key for key, item in specs.items() if item.default is dataclasses.MISSING}
    fields = _object(document, path, {"check", *specs}, required)
    values = {
        item.name: _value(item.metadata["spec"], fields[key], f"{path}/{key}")
        for key, item in specs.items()
        if key in fields
    }
    predicate = kind(path=path, **values)
    problem = predicate.problem()
    if problem is not None:
        raise InvariantSyntaxError(path, problem)
    return predicate


def _fields(kind: type[Predicate]) -> list[dataclasses.Field[Any]]:
    return [item for item in dataclasses.fields(kind) if "spec" in item.metadata]


def _effect(document: object, path: str) -> tuple[str, str | None]:
    fields = _object(document, path, {"kind", "text"}, {"kind"})
    kind = _value(Text(choices=EFFECTS), fields["kind"], f"{path}/kind")
    if (kind == "replace") != ("text" in fields):
        message = "is needed by replace" if kind == "replace" else f"has no meaning under {kind}"
        raise InvariantSyntaxError(f"{path}/text", message)
    if kind != "replace":
        return kind, None
    return kind, _value(Text(1, MAX_REPLACEMENT_CHARS), fields["text"], f"{path}/text")


def _object(
    value: object, path: str, allowed: set[str], required: set[str]
) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvariantSyntaxError(path, "must be an object")
    for key in value:
        if not isinstance(key, str) or key not in allowed:
            pointer = str(key)[:80].replace("~", "~0").replace("/", "~1")
            known = ", ".join(sorted(allowed))
            raise InvariantSyntaxError(f"{path}/{pointer}", f"is not known here; known: {known}")
    for key in sorted(required):
        if key not in value:
            raise InvariantSyntaxError(f"{path}/{key}", "is required")
    return value


def _list(value: object, path: str, low: int, high: int) -> list[object] | tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise InvariantSyntaxError(path, "must be a list")
    if not low <= len(value) <= high:
        raise InvariantSyntaxError(path, f"must have {low} to {high} items, has {len(value)}")
    return value


def _value(spec: Spec, value: object, path: str) -> Any:
    match spec:
        case Text():
            return _text(spec, value, path)
        case Number():
            return _number(spec, value, path)
        case Flag():
            if not isinstance(value, bool):
                raise InvariantSyntaxError(path, "must be true or false")
            return value
        case Texts(item=item, low=low, high=high):
            items = _list(value, path, low, high)
            texts = tuple(_text(item, one, f"{path}/{i}") for i, one in enumerate(items))
            if len(set(texts)) != len(texts):
                raise InvariantSyntaxError(path, "has an item twice")
            return texts
        case Scalars(low=low, high=high):
            items = _list(value, path, low, high)
            return tuple(_scalar(one, f"{path}/{i}") for i, one in enumerate(items))
        case JsonText(high=high):
            return _json_text(value, path, high)


def _text(spec: Text, value: object, path: str) -> str:
    if not isinstance(value, str):
        raise InvariantSyntaxError(path, "must be a string")
    if spec.choices:
        if value not in spec.choices:
            raise InvariantSyntaxError(path, f"must be one of {', '.join(spec.choices)}")
        return value
    if not spec.low <= len(value) <= spec.high:
        message = f"must have {spec.low} to {spec.high} characters, has {len(value)}"
        raise InvariantSyntaxError(path, message)
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise InvariantSyntaxError(path, "has a NUL or a lone surrogate")
    return value


def _number(spec: Number, value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvariantSyntaxError(path, "must be a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvariantSyntaxError(path, "must be finite")
    if spec.whole and value != int(value):
        raise InvariantSyntaxError(path, "must be a whole number")
    if not spec.low <= value <= spec.high:
        raise InvariantSyntaxError(path, f"must be in [{spec.low:g}, {spec.high:g}]")
    return int(value) if spec.whole else value


def _scalar(value: object, path: str) -> str | float | bool:
    if isinstance(value, str):
        return _text(Text(0, 200), value, path)
    if isinstance(value, bool):
        return value
    return _number(Number(), value, path)


def _json_text(value: object, path: str, high: int) -> str:
    try:
        text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvariantSyntaxError(path, "must be JSON") from error
    if len(text) > high:
        raise InvariantSyntaxError(path, f"must have at most {high} characters as JSON")
    return text
