"""Check digits of payment and national identifiers, over strings already shaped by a pattern.

Every function takes the digits and letters without separators and says whether they check.
Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 and ISO/IEC 7064 (IBAN, mod 97-10 and mod 11,10),
Verhoeff, "Error Detecting Decimal Codes" (1969), and the issuers' published rules.
"""

from __future__ import annotations

import datetime

_IBAN_LENGTHS = {
    **{"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22},
    **{"BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28},
    **{"EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23},
    **{"GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26},
    **{"IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20},
    **{"LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18},
    **{"NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24},
    **{"SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24},
    **{"TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20},
}
# Verhoeff: multiplication in the dihedral group D5, and the powers of a permutation.
_D5 = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_CODICE_ODD = (
    *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
)


def luhn(digits: str) -> bool:
    """Luhn's mod 10: double every second digit from the right, sum of digits divisible by ten."""
    total = 0
    for index, char in enumerate(reversed(digits)):
        value = int(char)
        if index % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def payment_card(digits: str) -> bool:
    """Luhn, an issuer range in use, a length of that range, and not one digit repeated."""
    if len(set(digits)) == 1 or not luhn(digits):
        return False
    length, two, four = len(digits), int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return length in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return length == 16
    if two in (34, 37):
        return length == 15
    if two in (30, 36, 38, 39):
        return 14 <= length <= 19
    return (two in (35, 62, 64, 65, 81) or four == 6011 or two == 60) and 16 <= length <= 19


def iban(text: str) -> bool:
    """Length of the country, and mod 97 of the rearranged digits equal to 1 (ISO 13616)."""
    upper = text.upper()
    if _IBAN_LENGTHS.get(upper[:2]) != len(upper):
        return False
    return int("".join(str(int(char, 36)) for char in upper[4:] + upper[:4])) % 97 == 1


def verhoeff(digits: str) -> bool:
    """Verhoeff's dihedral check, as on Aadhaar numbers."""
    state = 0
    for index, char in enumerate(reversed(digits)):
        value = int(char)
        for _ in range(index % 8):
            value = _PERMUTATION[value]
        state = _D5[state][value]
    return state == 0


def aadhaar(digits: str) -> bool:
    """Twelve digits, not beginning with 0 or 1, Verhoeff."""
    return len(digits) == 12 and digits[0] in "23456789" and verhoeff(digits)


def us_ssn(digits: str) -> bool:
    """No area 000, 666 or 900-999, no group 00, no serial 0000, not a specimen number."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000":
        return False
    return digits not in ("078051120", "219099999", "123456789")


def us_itin(digits: str) -> bool:
    """Begins with 9, fourth and fifth digits in the ranges the IRS issues."""
    group = int(digits[3:5])
    issued = 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99
    return digits[0] == "9" and issued


def us_routing(digits: str) -> bool:
    """ABA: 3, 7, 1 weights, and a prefix in use."""
    if not (0 <= int(digits[:2]) <= 12 or 21 <= int(digits[:2]) <= 32 or digits[:2] == "80"):
        return False
    return digits != "0" * 9 and _weighted(digits, (3, 7, 1) * 3) % 10 == 0


def ca_sin(digits: str) -> bool:
    """Nine digits, none beginning with 0 or 8, Luhn."""
    return digits[0] not in "08" and luhn(digits)


def br_cpf(digits: str) -> bool:
    """Two check digits mod 11, not one digit repeated."""
    if len(set(digits)) == 1:
        return False
    first = _weighted(digits[:9], tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = _weighted(digits[:10], tuple(range(11, 1, -1))) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def uk_nhs(digits: str) -> bool:
    """Ten digits, mod 11."""
    check = 11 - _weighted(digits[:9], tuple(range(10, 1, -1))) % 11
    return check != 10 and check % 11 == int(digits[9]) and len(set(digits)) > 1


def uk_nino(text: str) -> bool:
    """Prefix letters that are issued (no check digit exists)."""
    prefix = text[:2].upper()
    return prefix not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def de_tax_id(digits: str) -> bool:
    """Eleven digits, ISO 7064 mod 11,10, one digit two or three times among the first ten."""
    counts = sorted(digits[:10].count(char) for char in set(digits[:10]))
    if digits[0] == "0" or counts[-1] not in (2, 3) or counts[:-1].count(1) < len(counts) - 1:
        return False
    product = 10
    for char in digits[:10]:
        total = (int(char) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def fr_nir(text: str) -> bool:
    """Thirteen places and a key of two: 97 - number mod 97; Corsica's 2A and 2B as 19 and 18."""
    body = text.upper().replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body[:13]) % 97 == int(body[13:])


def es_dni(text: str) -> bool:
    """DNI or NIE: the letter is the number mod 23."""
    upper = text.upper()
    number = upper[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _DNI_LETTERS[int(number) % 23] == upper[-1]


def it_codice_fiscale(text: str) -> bool:
    """The sixteenth letter is the sum of odd and even place values mod 26; three digits."""
    upper = text.upper()
    if sum(map(str.isdigit, upper)) < 3:
        return False
    total = 0
    for index, char in enumerate(upper[:15]):
        value = int(char) if char.isdigit() else ord(char) - 65
        total += _CODICE_ODD[value] if index % 2 == 0 else value
    return chr(65 + total % 26) == upper[15]


def nl_bsn(digits: str) -> bool:
    """The eleven test: weights 9 to 2 and -1."""
    total = _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1))
    return total % 11 == 0 and int(digits) > 0 and len(set(digits)) > 1


def pl_pesel(digits: str) -> bool:
    """Weights 1, 3, 7, 9, and a birth date that exists."""
    total = _weighted(digits[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3))
    month = int(digits[2:4])
    century = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[month // 20]
    born = _is_date(century + int(digits[:2]), month % 20, int(digits[4:6]))
    return (10 - total % 10) % 10 == int(digits[10]) and born


def se_personnummer(digits: str) -> bool:
    """Luhn over the last ten digits, and a birth day that exists (60 more: coordination number)."""
    ten = digits[-10:]
    day = int(ten[4:6])
    return luhn(ten) and _is_date(2000, int(ten[2:4]), day - 60 if day > 60 else day)


def cn_resident_id(text: str) -> bool:
    """ISO 7064 mod 11-2 over eighteen places, and a birth date that exists."""
    weights = tuple(pow(2, 17 - index, 11) for index in range(17))
    check = (12 - _weighted(text[:17], weights) % 11) % 11
    born = _is_date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    return text[17].upper() == "0123456789X"[check] and born


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(char) * weight for char, weight in zip(digits, weights, strict=True))


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True
