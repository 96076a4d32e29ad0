"""Codes of a second factor, as an authenticator app shows them."""

import time

from allauth.mfa import app_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value


def present_code(secret: str, good_for: float = 15.0) -> str:
    """The code that `secret` gives now and for `good_for` seconds; waits for the next otherwise.

    The product takes a code of the present step only (a wider tolerance would outlive allauth's
    note that a code was used), so one that is about to end is refused, as it should be.
    """
    step = app_settings.TOTP_PERIOD
    left = step - time.time() % step
    if left < good_for:
        time.sleep(left + 0.01)
    return format_hotp_value(hotp_value(secret, int(time.time() // step)))
