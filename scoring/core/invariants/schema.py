"""A bounded JSON Schema: the assertions of draft 2020-12 that a hostile author cannot abuse.

Unlike a general validator there is no `$ref`, no remote anything, no `format`; every `pattern`
runs under RE2; the schema is compiled once, and one validation visits at most `MAX_STEPS` pairs of
schema and value, whatever both look like. A validation that runs out counts as not valid.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from scoring.core.invariants.patterns import Pattern, PatternError, compile_pattern
from scoring.core.invariants.vocabulary import InvariantSyntaxError

MAX_STEPS = 50_000
MAX_SCHEMA_NODES = 1_000
MAX_SCHEMA_DEPTH = 32
MAX_JSON_CHARS = 262_144
_WORK_PER_STEP = 10_000
_TYPES = ("null", "boolean", "object", "array", "number", "integer", "string")
_COUNTS = (
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("minContains", "maxContains"),
)
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_ANNOTATIONS = ("$schema", "$id", "$comment", "title", "description", "default", "examples")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLES = (
    *("not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames"),
)
_OTHERS = ("type", "enum", "const", "required", "uniqueItems", "pattern")
_MAPS = ("properties", "patternProperties", "dependentSchemas")
_KNOWN = frozenset((*_COUNTS, *_LIMITS, *_ANNOTATIONS, *_LISTS, *_SINGLES, *_OTHERS, *_MAPS))


class OutOfSteps(Exception):
    """A validation that visited more pairs than it may."""


class Schema:
    """One compiled schema node: `valid` says whether a value satisfies it."""

    __slots__ = (
        "_always",
        "_lists",
        "_maps",
        "_node",
        "_pattern",
        "_patterns",
        "_singles",
        "_values",
    )

    def __init__(self, node: object, path: str = "", depth: int = 0, left: list[int] | None = None):
        left = left if left is not None else [MAX_SCHEMA_NODES]
        left[0] -= 1
        if left[0] < 0 or depth > MAX_SCHEMA_DEPTH:
            raise InvariantSyntaxError(path, "schema is too large or too deep")
        self._always: bool | None = node if isinstance(node, bool) else None
        if not isinstance(node, bool | Mapping):
            raise InvariantSyntaxError(path, "schema must be an object or a boolean")
        self._node: Mapping[str, Any] = {} if isinstance(node, bool) else node
        for key in self._node:
            if key not in _KNOWN:
                raise InvariantSyntaxError(f"{path}/{key}", "is not taken in a bounded schema")
        _check_assertions(self._node, path)
        self._pattern = None
        if "pattern" in self._node:
            self._pattern = _pattern(self._node["pattern"], f"{path}/pattern")
        self._values = _values(self._node)
        self._lists = {
            key: [
                Schema(item, f"{path}/{key}/{index}", depth + 1, left)
                for index, item in enumerate(_typed(self._node[key], list, f"{path}/{key}"))
            ]
            for key in _LISTS
            if key in self._node
        }
        self._singles = {
            key: Schema(self._node[key], f"{path}/{key}", depth + 1, left)
            for key in _SINGLES
            if key in self._node
        }
        self._maps = {
            key: {
                name: Schema(item, f"{path}/{key}/{name}", depth + 1, left)
                for name, item in _typed(self._node[key], Mapping, f"{path}/{key}").items()
            }
            for key in _MAPS
            if key in self._node
        }
        self._patterns = [
            (_pattern(name, f"{path}/patternProperties/{name}"), item)
            for name, item in self._maps.get("patternProperties", {}).items()
        ]

    def valid(self, value: object) -> bool:
        """Whether a decoded JSON value satisfies the schema; raises OutOfSteps."""
        return self._valid(value, [MAX_STEPS])

    def _valid(self, value: object, left: list[int]) -> bool:
        _spend(left, 1)
        if self._always is not None:
            return self._always
        return (
            self._valid_any(value, left)
            and (not isinstance(value, str) or self._valid_text(value, left))
            and (not _is_number(value) or _valid_number(self._node, value))
            and (not isinstance(value, list) or self._valid_list(value, left))
            and (not isinstance(value, dict) or self._valid_object(value, left))
            and self._valid_combined(value, left)
        )

    def _valid_any(self, value: object, left: list[int]) -> bool:
        node = self._node
        if "type" in node:
            types = node["type"] if isinstance(node["type"], list) else [node["type"]]
            if not any(_has_type(value, name) for name in types):
                return False
        if self._values is None:
            return True
        return _canonical(value, left) in self._values

    def _valid_text(self, value: str, left: list[int]) -> bool:
        node = self._node
        if not node.get("minLength", 0) <= len(value) <= node.get("maxLength", math.inf):
            return False
        return self._pattern is None or _matches(self._pattern, value, left)

    def _valid_list(self, value: list[Any], left: list[int]) -> bool:
        node = self._node
        if not node.get("minItems", 0) <= len(value) <= node.get("maxItems", math.inf):
            return False
        distinct = {_canonical(item, left) for item in value} if node.get("uniqueItems") else value
        if len(distinct) < len(value):
            return False
        prefix = self._lists.get("prefixItems", [])
        if not all(one._valid(item, left) for one, item in zip(prefix, value, strict=False)):
            return False
        rest = self._singles.get("items")
        if rest is not None and not all(rest._valid(item, left) for item in value[len(prefix) :]):
            return False
        some = self._singles.get("contains")
        if some is None:
            return True
        count = sum(some._valid(item, left) for item in value)
        return bool(node.get("minContains", 1) <= count <= node.get("maxContains", math.inf))

    def _valid_object(self, value: dict[str, Any], left: list[int]) -> bool:
        node = self._node
        if not node.get("minProperties", 0) <= len(value) <= node.get("maxProperties", math.inf):
            return False
        if not all(name in value for name in node.get("required", ())):
            return False
        named = self._maps.get("properties", {})
        for name, item in self._maps.get("dependentSchemas", {}).items():
            if name in value and not item._valid(value, left):
                return False
        names, others = (
            self._singles.get("propertyNames"),
            self._singles.get("additionalProperties"),
        )
        for name, item in value.items():
            judges = [named[name]] if name in named else []
            judges += [one for pattern, one in self._patterns if _matches(pattern, name, left)]
            if not judges and others is not None:
                judges = [others]
            if names is not None and not names._valid(name, left):
                return False
            if not all(judge._valid(item, left) for judge in judges):
                return False
        return True

    def _valid_combined(self, value: object, left: list[int]) -> bool:
        lists, singles = self._lists, self._singles
        if not all(one._valid(value, left) for one in lists.get("allOf", ())):
            return False
        if "anyOf" in lists and not any(one._valid(value, left) for one in lists["anyOf"]):
            return False
        if "oneOf" in lists and sum(one._valid(value, left) for one in lists["oneOf"]) != 1:
            return False
        if "not" in singles and singles["not"]._valid(value, left):
            return False
        if "if" in singles:
            branch = "then" if singles["if"]._valid(value, left) else "else"
            return branch not in singles or singles[branch]._valid(value, left)
        return True


def compile_schema(text: str, path: str) -> Schema:
    """Compile canonical JSON text; raises InvariantSyntaxError naming the path in the schema."""
    return Schema(json.loads(text), path)


def read_json(text: str, allow_fence: bool) -> tuple[bool, object]:
    """Whether a text is one JSON value of at most `MAX_JSON_CHARS`, and the value.

    NaN and Infinity are no JSON. With `allow_fence` a Markdown code fence round the value is
    taken off.
    """
    if len(text) > MAX_JSON_CHARS:
        return False, None
    body = text.strip()
    if allow_fence and body.startswith("```") and body.endswith("```") and "\n" in body:
        body = body[body.index("\n") : -3]
    try:
        return True, json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False, None


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _check_assertions(node: Mapping[str, Any], path: str) -> None:
    for key in _COUNTS:
        if key in node and not (_has_type(node[key], "integer") and node[key] >= 0):
            raise InvariantSyntaxError(f"{path}/{key}", "must be a whole number from 0")
    for key in _LIMITS:
        if key in node and not _is_number(node[key]):
            raise InvariantSyntaxError(f"{path}/{key}", "must be a number")
    if "multipleOf" in node and not node["multipleOf"] > 0:
        raise InvariantSyntaxError(f"{path}/multipleOf", "must be greater than 0")
    types = node.get("type", [])
    for name in types if isinstance(types, list) else [types]:
        if name not in _TYPES:
            raise InvariantSyntaxError(f"{path}/type", f"must be of {', '.join(_TYPES)}")
    required = _typed(node.get("required", []), list, f"{path}/required")
    if not all(isinstance(name, str) for name in required):
        raise InvariantSyntaxError(f"{path}/required", "must hold strings")
    _typed(node.get("enum", []), list, f"{path}/enum")
    _typed(node.get("uniqueItems", False), bool, f"{path}/uniqueItems")


def _typed(value: Any, kind: type, path: str) -> Any:
    if not isinstance(value, kind):
        raise InvariantSyntaxError(path, f"must be a JSON {_JSON_NAMES[kind]}")
    return value


_JSON_NAMES: dict[type, str] = {list: "array", Mapping: "object", bool: "boolean", str: "string"}


def _pattern(source: object, path: str) -> Pattern:
    try:
        return compile_pattern(_typed(source, str, path))
    except PatternError as error:
        raise InvariantSyntaxError(path, str(error)) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_type(value: object, name: object) -> bool:
    if name == "number":
        return _is_number(value)
    if name == "integer":
        return (isinstance(value, float) and value.is_integer()) or _is_whole(value)
    return isinstance(value, _PYTHON_TYPES[str(name)])


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PYTHON_TYPES: dict[str, type] = {
    "null": type(None),
    "boolean": bool,
    "object": dict,
    "array": list,
    "string": str,
}


def _valid_number(node: Mapping[str, Any], value: Any) -> bool:
    if not node.get("minimum", -math.inf) <= value <= node.get("maximum", math.inf):
        return False
    if "exclusiveMinimum" in node and not value > node["exclusiveMinimum"]:
        return False
    if "exclusiveMaximum" in node and not value < node["exclusiveMaximum"]:
        return False
    if "multipleOf" not in node:
        return True
    step = node["multipleOf"]
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        quotient = value / step
    except OverflowError:
        return False
    return bool(quotient == math.floor(quotient)) if math.isfinite(quotient) else False


def _values(node: Mapping[str, Any]) -> frozenset[str] | None:
    """The values that `const` and `enum` leave, None where they leave all."""
    left = [MAX_STEPS]
    sets = [frozenset(_canonical(item, left) for item in node["enum"])] if "enum" in node else []
    if "const" in node:
        sets.append(frozenset((_canonical(node["const"], left),)))
    return frozenset.intersection(*sets) if sets else None


def _matches(pattern: Pattern, text: str, left: list[int]) -> bool:
    """Search under the budget: the worst case of RE2 is text length times program size."""
    _spend(left, 1 + len(text) * pattern.compiled.programsize // _WORK_PER_STEP)
    return pattern.found(text.encode("utf-8", "replace"))


def _spend(left: list[int], steps: int) -> None:
    left[0] -= steps
    if left[0] < 0:
        raise OutOfSteps


def _canonical(value: object, left: list[int]) -> str:
    """Text that is equal for equal JSON values: 1 and 1.0 are one number, true is no number."""
    return json.dumps(_plain(value, left), sort_keys=True)


def _plain(value: object, left: list[int]) -> object:
    _spend(left, 1 + (len(value) // 256 if isinstance(value, str) else 0))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item, left) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, left) for key, item in value.items()}
    return value
