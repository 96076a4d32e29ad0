"""Links in text: hosts allowed or denied, literal addresses, punycode, schemes that run code."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from scoring.core.invariants.patterns import trusted_pattern

# Scheme links, and bare ones by their www.; closing punctuation of prose is not part of a link.
_LINK = trusted_pattern(
    r"\b(?:https?|ftp|wss?)://[^\s<>\"'`{}|\\^]+|\bwww\.[a-z0-9-]{1,63}\.[^\s<>\"'`{}"
    r"|\\^]+"
    r"|\b(?:javascript|vbscript|data|file):[^\s<>\"'`]+",
    True,
)
_IMAGE = trusted_pattern(r"!\[[^\]\n]{0,200}\]\(\s{0,4}<?(?:https?:)?//[^)\s]+", True)
WAKES = ("//", r"www\.", "script:", "data:", "file:")
MAX_LINKS = 512
_SHORTENERS = frozenset(
    (
        *("bit.ly", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd", "buff.ly", "rebrand.ly"),
        *("cutt.ly", "rb.gy", "shorturl.at", "tiny.cc", "lnkd.in", "t.ly", "v.gd", "adf.ly"),
        *("bl.ink", "s.id"),
    )
)
_PORTS = {"http": "80", "https": "443", "ftp": "21", "ws": "80", "wss": "443"}


@dataclass(frozen=True, slots=True)
class Link:
    """One link: byte offsets in the text, and its parts in lower case."""

    start: int
    end: int
    scheme: str
    host: str
    port: str
    credentials: bool


@dataclass(frozen=True, slots=True)
class LinkRule:
    """Which links offend: of a kind, to a denied host, or outside the allowed ones."""

    kinds: frozenset[str]
    deny: frozenset[str]
    allow: frozenset[str]

    def spans(self, data: bytes, limit: int) -> list[tuple[int, int]]:
        """The first `limit` offending links, as byte offsets."""
        found: list[tuple[int, int]] = []
        if "markdown_image" in self.kinds:
            found.extend(_IMAGE.spans(data, limit))
        for link in links(data):
            if len(found) >= limit:
                break
            if self._offends(link):
                found.append((link.start, link.end))
        return found

    def _offends(self, link: Link) -> bool:
        kinds, runs = self.kinds, link.scheme in ("javascript", "vbscript", "data", "file")
        if runs:
            return "dangerous_scheme" in kinds
        return (
            "any" in kinds
            or ("ip_literal" in kinds and is_ip_literal(link.host))
            or ("punycode" in kinds and _is_punycode(link.host))
            or ("plain_http" in kinds and link.scheme in ("http", "ftp", "ws"))
            or ("credentials" in kinds and link.credentials)
            or ("odd_port" in kinds and link.port not in ("", _PORTS.get(link.scheme, "")))
            or ("shortener" in kinds and link.host in _SHORTENERS)
            or host_in(link.host, self.deny)
            or (bool(self.allow) and not host_in(link.host, self.allow))
        )


def links(data: bytes) -> list[Link]:
    """The first `MAX_LINKS` links of a text."""
    return [_link(data, start, end) for start, end in _LINK.spans(data, MAX_LINKS)]


def _link(data: bytes, start: int, end: int) -> Link:
    trimmed = data[start:end].rstrip(b".,;:!?)]*_~")
    text = trimmed.decode("utf-8", "replace").lower()
    end = start + len(trimmed)
    scheme, separator, rest = text.partition("://")
    if not separator:
        head, colon, _ = text.partition(":")
        if colon and head in ("javascript", "vbscript", "data", "file"):
            return Link(start, end, head, "", "", False)
        scheme, rest = "https", text
    authority = rest
    for mark in "/?#":
        authority = authority.partition(mark)[0]
    user, at, place = authority.rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, tail = place[1:].partition("]")
        port = tail.lstrip(":")
    elif ":" in place:
        host, _, port = place.rpartition(":")
    return Link(start, end, scheme, host.rstrip("."), port, bool(at and user))


def host_in(host: str, entries: frozenset[str]) -> bool:
    """Whether a host is one of the entries or a subdomain of one, label by label."""
    while host:
        if host in entries:
            return True
        host = host.partition(".")[2]
    return False


def is_ip_literal(host: str) -> bool:
    """Whether a host is an address: dotted, IPv6, or any other form that inet_aton takes."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        return 1 <= len(labels) <= 4 and all(_is_number(label) for label in labels)
    return True


def _is_number(label: str) -> bool:
    if label.startswith("0x"):
        return label != "0x" and all(char in "0123456789abcdef" for char in label[2:])
    return label.isascii() and label.isdigit()


def _is_punycode(host: str) -> bool:
    return any(label.startswith("xn--") for label in host.split(".")) or not host.isascii()
