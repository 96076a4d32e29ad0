"""Django's PostgreSQL backend over our driver; requests' connections have a statement timeout."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base

from oversight.lib import allowance
from oversight.lib.postgres import driver


class DatabaseWrapper(base.DatabaseWrapper):
    Database = driver

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
