"""Records and payloads: partitioned by the time in the id.

Django cannot declare partitioned tables, so the DDL is ours and the state is Django's. There is no
default partition: partitions are made ahead and on demand (scoring/partitions.py), and a record
outside the accepted time is refused before it reaches the database.
"""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

FORWARD = """
CREATE TABLE scoring_record (
    id uuid NOT NULL,
    project_id bigint NOT NULL,
    batch_id bigint NOT NULL,
    model_version_id bigint NOT NULL,
    scorer_version_id bigint NOT NULL,
    external_id varchar(200) NOT NULL,
    occurred_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    region varchar(200) NOT NULL,
    context jsonb NOT NULL,
    signals jsonb NOT NULL,
    raw double precision NOT NULL,
    score double precision NOT NULL,
    p_violation double precision,
    weight double precision NOT NULL,
    tier smallint NOT NULL CHECK (tier >= 0),
    action smallint NOT NULL CHECK (action >= 0),
    held_out boolean NOT NULL,
    may_review boolean NOT NULL,
    may_train boolean NOT NULL,
    consent_basis varchar(200) NOT NULL,
    conversation_id varchar(200) NOT NULL,
    subject_id varchar(200) NOT NULL,
    group_hash bytea NOT NULL,
    content_hash bytea NOT NULL,
    erased_at timestamptz,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
-- A project's records, newest first: lists with keyset paging.
CREATE INDEX record_project ON scoring_record (project_id, id DESC);
-- A round's candidates: the records of a window's batches.
CREATE INDEX record_batch ON scoring_record (batch_id);
-- Erasure and consent by subject.
CREATE INDEX record_subject ON scoring_record (project_id, subject_id) WHERE subject_id <> '';

CREATE TABLE scoring_payload (
    id uuid NOT NULL,
    input text NOT NULL,
    output text NOT NULL,
    fingerprint bytea,
    reasons jsonb NOT NULL,
    intervention jsonb,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
"""

BACKWARD = "DROP TABLE scoring_payload; DROP TABLE scoring_record;"


def loose(to, **options):
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        on_delete=django.db.models.deletion.DO_NOTHING,
        to=to,
        **options,
    )


class Migration(migrations.Migration):
    dependencies = [("scoring", "0002_initial"), ("tenancy", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.CreateModel(
                    name="InferenceRecord",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=uuid.uuid4,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("external_id", models.CharField(max_length=200)),
                        ("occurred_at", models.DateTimeField()),
                        (
                            "ingested_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        ("region", models.CharField(blank=True, max_length=200)),
                        ("context", models.JSONField(default=dict)),
                        ("signals", models.JSONField(default=dict)),
                        ("raw", models.FloatField()),
                        ("score", models.FloatField()),
                        ("p_violation", models.FloatField(null=True)),
                        ("weight", models.FloatField(default=1)),
                        ("tier", models.PositiveSmallIntegerField()),
                        (
                            "action",
                            models.PositiveSmallIntegerField(
                                choices=[(0, "pass"), (1, "review"), (2, "intervene")]
                            ),
                        ),
                        ("held_out", models.BooleanField()),
                        ("may_review", models.BooleanField()),
                        ("may_train", models.BooleanField()),
                        ("consent_basis", models.CharField(blank=True, max_length=200)),
                        ("conversation_id", models.CharField(blank=True, max_length=200)),
                        ("subject_id", models.CharField(blank=True, max_length=200)),
                        ("group_hash", models.BinaryField()),
                        ("content_hash", models.BinaryField()),
                        ("erased_at", models.DateTimeField(null=True)),
                        ("batch", loose("scoring.ingestbatch")),
                        ("model_version", loose("scoring.modelversion")),
                        ("project", loose("tenancy.project", related_name="+")),
                        ("scorer_version", loose("scoring.scorerversion")),
                    ],
                    options={"db_table": "scoring_record"},
                ),
                migrations.CreateModel(
                    name="RecordPayload",
                    fields=[
                        (
                            "id",
                            models.UUIDField(editable=False, primary_key=True, serialize=False),
                        ),
                        ("input", models.TextField()),
                        ("output", models.TextField()),
                        ("fingerprint", models.BinaryField(null=True)),
                        ("reasons", models.JSONField(default=list)),
                        ("intervention", models.JSONField(null=True)),
                    ],
                    options={"db_table": "scoring_payload"},
                ),
            ],
        ),
    ]
