"""The bounded JSON Schema against the jsonschema package, and against hostile schemas."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.invariants.schema import OutOfSteps, Schema, read_json
from scoring.core.invariants.vocabulary import InvariantSyntaxError

SCHEMAS = [
    {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
    {"type": ["array", "null"], "items": {"type": "number", "minimum": 0}, "uniqueItems": True},
    {"prefixItems": [{"const": 1}, {"type": "string"}], "items": False},
    {"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": {"type": "integer"}},
    {"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]},
    {"anyOf": [{"maxLength": 2}, {"pattern": "^b+$"}], "not": {"enum": ["bb", 1, None]}},
    {"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"type": "array"}},
    {"contains": {"type": "string"}, "minContains": 2, "maxItems": 4},
    {"propertyNames": {"maxLength": 1}, "minProperties": 1, "dependentSchemas": {"a": False}},
    {"exclusiveMinimum": 0, "exclusiveMaximum": 2.5, "enum": [1, 2, 2.5, True, "b"]},
    {"allOf": [{"minItems": 1}, {"type": "array"}], "const": [1]},
]
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 7)
    | st.sampled_from([0.0, 1.0, 1.5, 2.5])
    | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("schema", SCHEMAS)
@given(value=_values)
@settings(max_examples=60, deadline=None)
def test_agrees_with_jsonschema(schema, value):
    oracle = jsonschema.Draft202012Validator(schema)
    assert Schema(schema).valid(value) == oracle.is_valid(value)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"$ref": "https://example.com/schema.json"}, "/$ref"),
        ({"properties": {"a": {"$dynamicRef": "#x"}}}, "/properties/a/$dynamicRef"),
        ({"format": "email"}, "/format"),
        ({"items": {"pattern": "(a+)+\\1"}}, "/items/pattern"),
        ({"patternProperties": {"(?=a)": True}}, "/patternProperties/(?=a)"),
        ({"minLength": -1}, "/minLength"),
        ({"type": "strings"}, "/type"),
        ({"multipleOf": 0}, "/multipleOf"),
        ({"required": "a"}, "/required"),
        ({"allOf": {"type": "string"}}, "/allOf"),
        (7, "/"),
    ],
)
def test_unbounded_or_wrong_schema_is_refused_with_its_path(schema, path):
    with pytest.raises(InvariantSyntaxError) as caught:
        Schema(schema)
    assert caught.value.path == path


def test_size_and_depth_are_capped():
    with pytest.raises(InvariantSyntaxError, match="too large"):
        Schema({"anyOf": [True] * 2000})
    deep = True
    for _ in range(40):
        deep = {"not": deep}
    with pytest.raises(InvariantSyntaxError, match="too deep"):
        Schema(deep)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"allOf": [{"items": {"type": "integer"}}] * 300}, list(range(1000))),
        ({"anyOf": [{"enum": ["no"]}] * 900}, list(range(5000))),
        ({"anyOf": [{"pattern": "(x+x+)+y|(?:a?){200}b"}] * 300}, "a" * 200_000),
        ({"uniqueItems": True}, [[[i] * 20] * 20 for i in range(200)]),
    ],
)
def test_work_of_one_validation_is_bounded(schema, value):
    with pytest.raises(OutOfSteps):
        Schema(schema).valid(value)


@pytest.mark.parametrize(
    ("text", "fence", "expected"),
    [
        (' {"a": 1}\n', False, (True, {"a": 1})),
        ('```json\n{"a": 1}\n```', True, (True, {"a": 1})),
        ('```json\n{"a": 1}\n```', False, (False, None)),
        ("NaN", False, (False, None)),
        ("1" * 5000, False, (False, None)),
        ("[" * 100_000, False, (False, None)),
        (json.dumps("x" * 300_000), False, (False, None)),
        ("", False, (False, None)),
    ],
)
def test_reading_json(text, fence, expected):
    assert read_json(text, fence) == expected
