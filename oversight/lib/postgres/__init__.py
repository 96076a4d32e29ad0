"""A Django database backend whose waits end: PostgreSQL with a deadline and a circuit breaker.

`ENGINE = "oversight.lib.postgres"`. Outside requests it is Django's own backend, unchanged.
"""
