"""The table behind Django's cache, where the login's rate limits are counted."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            CREATE TABLE django_cache (
                cache_key varchar(255) NOT NULL PRIMARY KEY,
                value text NOT NULL,
                expires timestamptz NOT NULL
            );
            CREATE INDEX django_cache_expires ON django_cache (expires);
            """,
            "DROP TABLE django_cache;",
        )
    ]
