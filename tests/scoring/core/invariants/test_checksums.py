"""Check digits: published examples pass, and every single wrong digit is caught."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.invariants import checksums

# Examples that issuers or standards publish.
VALID = [
    (checksums.luhn, "79927398713"),
    (checksums.payment_card, "4111111111111111"),
    (checksums.payment_card, "378282246310005"),
    (checksums.payment_card, "6011111111111117"),
    (checksums.iban, "GB29NWBK60161331926819"),
    (checksums.iban, "MT84MALT011000012345MTLCAST001S"),
    (checksums.verhoeff, "2363"),
    (checksums.us_routing, "021000021"),
    (checksums.ca_sin, "130692544"),
    (checksums.br_cpf, "52998224725"),
    (checksums.uk_nhs, "9434765919"),
    (checksums.de_tax_id, "86095742719"),
    (checksums.fr_nir, "255081416802538"),
    (checksums.es_dni, "12345678Z"),
    (checksums.es_dni, "X1234567L"),
    (checksums.it_codice_fiscale, "RSSMRA85T10A562S"),
    (checksums.nl_bsn, "111222333"),
    (checksums.pl_pesel, "44051401359"),
    (checksums.se_personnummer, "8112189876"),
    (checksums.cn_resident_id, "11010519491231002X"),
]


@pytest.mark.parametrize(("check", "text"), VALID)
def test_published_example_passes(check, text):
    assert check(text)


@pytest.mark.parametrize(
    ("check", "text"), [case for case in VALID if case[0] is not checksums.payment_card]
)
def test_a_wrong_last_place_is_caught(check, text):
    last = text[-1]
    places = "0123456789" if last.isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    others = [text[:-1] + place for place in places if place != last]
    assert not any(check(other) for other in others)


def _luhn_digit(body):
    total = sum(int(d) for d in body[-2::-2]) + sum(
        sum(divmod(2 * int(d), 10)) for d in body[-1::-2]
    )
    return str(-total % 10)


@given(st.text("0123456789", min_size=1, max_size=30))
def test_luhn_agrees_with_its_definition(body):
    passing = [digit for digit in "0123456789" if checksums.luhn(body + digit)]
    assert passing == [_luhn_digit(body)]


@given(st.text("0123456789", min_size=2, max_size=20), st.data())
def test_verhoeff_catches_every_adjacent_transposition(body, data):
    number = next(body + d for d in "0123456789" if checksums.verhoeff(body + d))
    at = data.draw(st.integers(0, len(number) - 2))
    swapped = number[:at] + number[at + 1] + number[at] + number[at + 2 :]
    assert checksums.verhoeff(swapped) == (swapped == number)
