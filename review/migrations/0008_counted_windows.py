"""Populations are counted after the draw: which windows were, stands in a table of its own."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


def mark_counted(apps, schema_editor):
    """What was drawn so far was counted with the draw, or before populations were counted."""
    rounds = apps.get_model("review", "SamplingRound").objects.values_list("queue", "window")
    counted = apps.get_model("review", "CountedWindow")
    counted.objects.bulk_create(
        [counted(queue_id=queue, window_id=window) for queue, window in rounds.distinct()],
        batch_size=1_000,
    )


class Migration(migrations.Migration):
    dependencies = [("review", "0007_posteriors")]

    operations = [
        migrations.CreateModel(
            name="CountedWindow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "queue",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="review.reviewqueue",
                    ),
                ),
                (
                    "window",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="scoring.window",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("queue", "window"), name="window_counted_once"
                    )
                ],
            },
        ),
        migrations.RunPython(mark_counted, migrations.RunPython.noop, elidable=True),
    ]
