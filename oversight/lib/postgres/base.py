"""Django's PostgreSQL backend over our driver; requests' connections have a statement timeout."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base

from oversight.lib import allowance
from oversight.lib.postgres import driver

# Django looks whether a connection still works before and after a request too, where there is no
# allowance: a frozen server would hold the thread there for good.
CHECK_SECONDS = 2.0


class DatabaseWrapper(base.DatabaseWrapper):
    Database = driver

    def is_usable(self) -> bool:
        left = allowance.current()
        seconds = CHECK_SECONDS if left is None else min(CHECK_SECONDS, left.next_wait_seconds())
        with allowance.limited(seconds) as check:
            is_usable: bool = super().is_usable()
        if left is not None:
            left.spend(seconds - check.seconds)
        return is_usable

    def get_connection_params(self) -> dict[str, Any]:
        if self.settings_dict["OPTIONS"].get("pool"):
            # A pool connects in threads of its own, where no request's deadline is known.
            raise ImproperlyConfigured("oversight.lib.postgres keeps connections; it has no pool")
        params: dict[str, Any] = super().get_connection_params()
        timeout_ms = int(getattr(settings, "DATABASE_STATEMENT_TIMEOUT_MS", 0))
        # Threads that serve requests do nothing else, so it costs no round trip to let the whole
        # connection have it. Behind a pooler that refuses `options`, set 0 and give the role one.
        if timeout_ms and allowance.current() is not None:
            given = params.get("options", "")
            params["options"] = f"{given} -c statement_timeout={timeout_ms}".strip()
        return params
