"""Later scores of records, partitioned as the records are, and the windows that were scored again.

Django cannot declare partitioned tables, so the DDL is ours and the state is Django's.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE TABLE scoring_record_score (
    scorer_version_id bigint NOT NULL,
    id uuid NOT NULL,
    raw double precision NOT NULL,
    score double precision NOT NULL,
    p_violation double precision,
    tier smallint NOT NULL CHECK (tier >= 0),
    action smallint NOT NULL CHECK (action >= 0),
    held_out boolean NOT NULL,
    -- A version's scores of given records, or of a span of them; the ids prune the partitions.
    PRIMARY KEY (scorer_version_id, id)
) PARTITION BY RANGE (id);
-- Partitions that are there already get their third table, with the same bounds.
DO $$
DECLARE part record;
BEGIN
    FOR part IN
        SELECT replace(c.relname, 'scoring_record_p', 'scoring_record_score_p') AS name,
            pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'scoring_record'::regclass
    LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF scoring_record_score %s', part.name, part.bounds);
    END LOOP;
END $$;
"""

BACKWARD = "DROP TABLE scoring_record_score;"


class Migration(migrations.Migration):
    dependencies = [
        ("scoring", "0004_model_version_triggers"),
        ("tenancy", "0003_project_window_minutes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.CreateModel(
                    name="RecordScore",
                    fields=[
                        ("pk", models.CompositePrimaryKey("scorer_version_id", "record_id", blank=True, editable=False, primary_key=True, serialize=False)),
                        ("record_id", models.UUIDField(db_column="id")),
                        ("raw", models.FloatField()),
                        ("score", models.FloatField()),
                        ("p_violation", models.FloatField(null=True)),
                        ("tier", models.PositiveSmallIntegerField()),
                        ("action", models.PositiveSmallIntegerField(choices=[(0, "pass"), (1, "review"), (2, "intervene")])),
                        ("held_out", models.BooleanField()),
                        ("scorer_version", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to="scoring.scorerversion")),
                    ],
                    options={"db_table": "scoring_record_score"},
                ),
            ],
        ),
        migrations.CreateModel(
            name="Rescoring",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField(null=True)),
                ("until", models.DateTimeField(null=True)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("after", models.UUIDField(null=True)),
                ("n_scored", models.PositiveBigIntegerField(default=0)),
                ("n_held_out", models.PositiveBigIntegerField(default=0)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("completed_at", models.DateTimeField(null=True)),
                ("created_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("project", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tenancy.project")),
                ("scorer_version", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="rescorings", to="scoring.scorerversion")),
            ],
        ),
    ]
