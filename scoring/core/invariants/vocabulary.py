"""Names, caps and value specifications that the invariant language is spelled with."""

from __future__ import annotations

import math
from dataclasses import dataclass

LANGUAGE = 1

MAX_DEPTH = 16
MAX_NODES = 256
MAX_INVARIANTS = 512
MAX_PATTERN_CHARS = 1_000
MAX_TERMS = 500
MAX_TERM_CHARS = 120
MAX_SCHEMA_CHARS = 32_768
MAX_REPLACEMENT_CHARS = 4_000

TARGETS = ("output", "input", "last_user", "system", "all")
SEVERITIES = ("low", "medium", "high", "critical")
EFFECTS = ("flag", "block", "replace")
PERSONAL_DATA = (
    "email",
    "phone",
    "payment_card",
    "iban",
    "ip_address",
    "mac_address",
    "date_of_birth",
    "passport",
    "us_ssn",
    "us_itin",
    "us_routing",
    "ca_sin",
    "br_cpf",
    "uk_nino",
    "uk_nhs",
    "de_tax_id",
    "fr_nir",
    "es_dni",
    "it_codice_fiscale",
    "nl_bsn",
    "pl_pesel",
    "se_personnummer",
    "in_aadhaar",
    "in_pan",
    "cn_resident_id",
)
SECRETS = (
    "aws_access_key",
    "github_token",
    "gitlab_token",
    "slack_token",
    "stripe_key",
    "google_api_key",
    "model_provider_key",
    "package_registry_token",
    "private_key",
    "jwt",
    "url_credentials",
    "cloud_connection_string",
    "high_entropy_assignment",
)
CODE = (
    "dynamic_eval",
    "shell_injection",
    "sql_concatenation",
    "hardcoded_credential",
    "tls_verification_disabled",
    "unsafe_deserialisation",
    "weak_hash",
    "weak_cipher",
    "insecure_random_token",
    "html_injection",
    "path_traversal",
    "destructive_command",
    "pipe_to_shell",
    "debug_enabled",
    "permissive_cors",
    "world_writable",
    "xml_external_entities",
    "unverified_jwt",
    "bind_all_interfaces",
)
SHAPES = ("refusal", "compliance", "self_reference", "hedge", "injection", "secrecy_breach")
URL_KINDS = (
    "any",
    "ip_literal",
    "punycode",
    "plain_http",
    "credentials",
    "odd_port",
    "shortener",
    "dangerous_scheme",
    "markdown_image",
)
INVISIBLE = ("bidi_control", "zero_width", "tag", "control")
SCRIPTS = (
    "latin",
    "greek",
    "cyrillic",
    "armenian",
    "hebrew",
    "arabic",
    "devanagari",
    "bengali",
    "gurmukhi",
    "gujarati",
    "oriya",
    "tamil",
    "telugu",
    "kannada",
    "malayalam",
    "sinhala",
    "thai",
    "lao",
    "myanmar",
    "georgian",
    "ethiopic",
    "khmer",
    "hiragana",
    "katakana",
    "hangul",
    "han",
)


class InvariantSyntaxError(ValueError):
    """A document that is not a valid invariant; `path` is a JSON pointer to the culprit."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path or '/'}: {message}")
        self.path = path or "/"
        self.message = message


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `low` to `high` characters, optionally one of `choices`."""

    low: int = 1
    high: int = 200
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number in [low, high]; `whole` asks for an integer; `None` only as a default."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of `low` to `high` distinct strings, each within `item`."""

    item: Text
    low: int = 1
    high: int = 64


@dataclass(frozen=True, slots=True)
class Scalars:
    """A list of `low` to `high` distinct strings, finite numbers or booleans."""

    low: int = 1
    high: int = 64


@dataclass(frozen=True, slots=True)
class JsonText:
    """Any JSON value of at most `high` characters, kept as canonical JSON text (hashable)."""

    high: int = MAX_SCHEMA_CHARS


Spec = Text | Number | Flag | Texts | Scalars | JsonText
