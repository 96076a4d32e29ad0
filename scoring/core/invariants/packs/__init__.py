"""A starter set of invariants, as data: documents of the invariant language, by theme.

`STARTER` joins all themes; a project takes what its policy has clauses for, and edits copies.
"""

from scoring.core.invariants.language import Invariant
from scoring.core.invariants.packs.code_generation import CODE_GENERATION
from scoring.core.invariants.packs.conversation import CONVERSATION
from scoring.core.invariants.packs.moderation import MODERATION
from scoring.core.invariants.packs.privacy import PRIVACY
from scoring.core.invariants.packs.regions import REGIONS
from scoring.core.invariants.parse import parse_document
from scoring.core.invariants.vocabulary import LANGUAGE

PACKS: dict[str, list[dict[str, object]]] = {
    "privacy": PRIVACY,
    "conversation": CONVERSATION,
    "code_generation": CODE_GENERATION,
    "moderation": MODERATION,
    "regions": REGIONS,
}


def load_pack(name: str) -> tuple[Invariant, ...]:
    """The invariants of one theme of `PACKS`; raises KeyError for another name."""
    return parse_document({"language": LANGUAGE, "invariants": PACKS[name]})


def load_starter() -> tuple[Invariant, ...]:
    """All invariants of all themes, keys distinct."""
    documents = [document for pack in PACKS.values() for document in pack]
    return parse_document({"language": LANGUAGE, "invariants": documents})
