"""The embedded servers that this very run stands on."""

import redis
from django.conf import settings
from django.db import connection


def test_the_database_is_the_embedded_postgresql(db):
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        assert cursor.fetchone()[0].startswith("18")


def test_the_broker_answers():
    path = settings.REDIS_URL.removeprefix("redis+socket://").split("?")[0]
    client = redis.Redis(unix_socket_path=path)
    assert client.ping()
    client.close()
