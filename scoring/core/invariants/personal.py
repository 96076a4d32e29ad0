"""Detectors of personal data: shapes with their checksums, and nothing that guesses names.

Shapes too common to mean anything alone (nine digits) count only with a naming word before them.
"""

from __future__ import annotations

import ipaddress
import re

from scoring.core.invariants import checksums
from scoring.core.invariants.detector import Detector, detector

_SEPARATORS = re.compile(r"[^0-9A-Za-z]")
# What every match of the detectors that name them contains, small enough for the shared prefilter.
_DIGITS = r"[0-9](?:[ .\-/()]{0,4}[0-9]){5}"
_LONG_DIGITS = r"[0-9](?:[ \-]?[0-9]){12}"
_IBAN_HEAD = r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){4}"
_ADDRESS = (
    r"[0-9A-Fa-f]:(?:[0-9A-Fa-f]{1,4}|:)|[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
    r"|(?:[0-9A-Fa-f]{2}-){3}"
)
_EMAIL_PLACEHOLDERS = ("example.com", "example.org", "example.net", "example.edu")
_RESERVED_TOP = (".example", ".invalid", ".test", ".localhost", ".local")


def _bare(text: str) -> str:
    return _SEPARATORS.sub("", text)


def _email(text: str) -> bool:
    local, _, host = text.rpartition("@")
    host = host.lower().rstrip(".")
    if host.endswith(_RESERVED_TOP) or ".." in local or local.startswith("."):
        return False
    return not any(host == name or host.endswith("." + name) for name in _EMAIL_PLACEHOLDERS)


def _phone(text: str) -> bool:
    digits = _bare(text)
    return 7 <= len(digits) <= 15 and len(set(digits)) > 2


def _ip_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # Four numbers below ten are a version far more often than an address.
    version = address.version == 4 and max(address.packed) < 10
    return address.is_global and not address.is_multicast and not version


def _mac_address(text: str) -> bool:
    bare = _bare(text).lower()
    return sum(map(str.isdigit, bare)) >= 3 and len(set(bare)) > 1


PERSONAL: tuple[Detector, ...] = (
    detector(
        "email",
        "email address",
        r"\b[A-Za-z0-9][A-Za-z0-9._%+'-]{0,63}@"
        r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}\b",
        valid=_email,
        wakes=("@",),
    ),
    detector(
        "phone",
        "phone number",
        r"(?:\+|\b00)[1-9][0-9]{0,2}(?:[ .\-/]{0,2}\(?[0-9]{1,5}\)?){2,6}\b"
        r"|(?:\b1[ .\-])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}\b"
        r"|(?i:phone|mobile|\bcell|telephone|\btel\b|\bcall\b|whatsapp|\btext\b|\bfax)"
        r"[^\n0-9+]{0,24}(\(?[0-9](?:[ .\-()/]{0,2}[0-9]){6,13})\b",
        valid=_phone,
        wakes=(_DIGITS,),
    ),
    detector(
        "payment_card",
        "payment card number",
        r"\b[2-68][0-9]{3}(?:[ -]?[0-9]){9,15}\b",
        valid=lambda text: checksums.payment_card(_bare(text)),
        wakes=(_LONG_DIGITS,),
    ),
    detector(
        "iban",
        "IBAN",
        r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b",
        valid=lambda text: checksums.iban(_bare(text)),
        wakes=(_IBAN_HEAD,),
    ),
    detector(
        "ip_address",
        "public IP address",
        r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b"
        r"|\b[0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{1,4}|:)(?::[0-9A-Fa-f]{0,4}){1,6}\b",
        valid=_ip_address,
        wakes=(_ADDRESS,),
    ),
    detector(
        "mac_address",
        "hardware (MAC) address",
        r"\b[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})\b",
        valid=_mac_address,
        wakes=(_ADDRESS,),
    ),
    detector(
        "date_of_birth",
        "date of birth",
        r"(?i:date of birth|birth ?date|birthday|\bd\.?o\.?b\b\.?|\bborn (?:on|in)?)"
        r"[^\n0-9]{0,24}("
        r"[0-9]{1,2}[./\-][0-9]{1,2}[./\-](?:19|20)?[0-9]{2}\b|(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}"
        r"|[0-9]{1,2}(?:st|nd|rd|th)? [A-Za-z]{3,9},? (?:19|20)[0-9]{2}"
        r"|[0-9]{1,2}(?:st|nd|rd|th)?,? (?:19|20)[0-9]{2})",
        wakes=("(?i)birth", "(?i)dob", r"(?i)d\.o", r"(?i)do\.b", "(?i)born"),
    ),
    detector(
        "passport",
        "passport number",
        r"(?i:passport)[^\n]{0,24}?[^0-9A-Za-z]([A-Z]{0,2}[0-9]{6,9})\b",
    ),
    detector(
        "us_ssn",
        "US social security number",
        r"\b[0-8][0-9]{2}[- ][0-9]{2}[- ][0-9]{4}\b"
        r"|(?i:\bssn\b|social security)[^\n0-9]{0,24}([0-8][0-9]{8})\b",
        valid=lambda text: checksums.us_ssn(_bare(text)),
        wakes=(_DIGITS,),
    ),
    detector(
        "us_itin",
        "US individual taxpayer number",
        r"\b9[0-9]{2}[- ][0-9]{2}[- ][0-9]{4}\b",
        valid=lambda text: checksums.us_itin(_bare(text)),
        wakes=(_DIGITS,),
    ),
    detector(
        "us_routing",
        "US bank routing number",
        r"\b[0-9]{9}\b",
        valid=checksums.us_routing,
        near=r"routing|\baba\b|\brtn\b",
        wakes=(_DIGITS,),
    ),
    detector(
        "ca_sin",
        "Canadian social insurance number",
        r"\b[1-79][0-9]{2}[- ]?[0-9]{3}[- ]?[0-9]{3}\b",
        valid=lambda text: checksums.ca_sin(_bare(text)),
        near=r"\bsin\b|social insurance|assurance sociale|\bnas\b",
        wakes=(_DIGITS,),
    ),
    detector(
        "br_cpf",
        "Brazilian CPF",
        r"\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b|(?i:\bcpf\b)[^\n0-9]{0,16}([0-9]{11})\b",
        valid=lambda text: checksums.br_cpf(_bare(text)),
        wakes=(_DIGITS,),
    ),
    detector(
        "uk_nino",
        "UK national insurance number",
        r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]\b",
        valid=checksums.uk_nino,
        wakes=(_DIGITS,),
    ),
    detector(
        "uk_nhs",
        "UK NHS number",
        r"\b[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{4}\b",
        valid=lambda text: checksums.uk_nhs(_bare(text)),
        near=r"\bnhs\b",
        wakes=(_DIGITS,),
    ),
    detector(
        "de_tax_id",
        "German tax identification number",
        r"\b[1-9][0-9]{10}\b|\b[1-9][0-9] [0-9]{3} [0-9]{3} [0-9]{3}\b",
        valid=lambda text: checksums.de_tax_id(_bare(text)),
        near=r"steuer|\btax\b|\bidnr\b|\btin\b|identifikationsnummer",
        wakes=(_DIGITS,),
    ),
    detector(
        "fr_nir",
        "French social security number",
        r"\b[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?"
        r"[0-9]{2}\b",
        valid=lambda text: checksums.fr_nir(_bare(text)),
        wakes=(_DIGITS,),
    ),
    detector(
        "es_dni",
        "Spanish DNI or NIE",
        r"\b(?:[0-9]{8}|[XYZ][0-9]{7})-?[A-HJ-NP-TV-Z]\b",
        valid=lambda text: checksums.es_dni(_bare(text)),
        wakes=(_DIGITS,),
    ),
    detector(
        "it_codice_fiscale",
        "Italian codice fiscale",
        r"\b[A-Z]{6}[0-9LMNPQRSTUV]{2}[A-EHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]\b",
        valid=checksums.it_codice_fiscale,
        ignore_case=True,
    ),
    detector(
        "nl_bsn",
        "Dutch citizen service number",
        r"\b[0-9]{9}\b|\b[0-9]{4}\.[0-9]{2}\.[0-9]{3}\b",
        valid=lambda text: checksums.nl_bsn(_bare(text)),
        near=r"\bbsn\b|burgerservicenummer|sofinummer",
        wakes=(_DIGITS,),
    ),
    detector(
        "pl_pesel",
        "Polish PESEL",
        r"\b[0-9]{11}\b",
        valid=checksums.pl_pesel,
        near=r"pesel",
        wakes=(_DIGITS,),
    ),
    detector(
        "se_personnummer",
        "Swedish personal identity number",
        r"\b(?:19|20)?[0-9]{2}(?:0[1-9]|1[0-2])[0-9]{2}[-+][0-9]{4}\b",
        valid=lambda text: checksums.se_personnummer(_bare(text)),
        wakes=(_DIGITS,),
    ),
    detector(
        "in_aadhaar",
        "Aadhaar number",
        r"\b[2-9][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}\b|(?i:aadha+r)[^\n0-9]{0,24}([2-9][0-9]{11})\b",
        valid=lambda text: checksums.aadhaar(_bare(text)),
        wakes=(_DIGITS,),
    ),
    detector(
        "in_pan",
        "Indian permanent account number",
        r"\b[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]\b",
    ),
    detector(
        "cn_resident_id",
        "Chinese resident identity number",
        r"\b[1-8][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]\b",
        valid=checksums.cn_resident_id,
        wakes=(_DIGITS,),
    ),
)
