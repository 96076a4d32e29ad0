"""Where each reviewer's search for a case begins, and an AI rater's claims by an index."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("review", "0010_measured_defaults"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Frontier",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("ai_rater", models.CharField(blank=True, max_length=80)),
                ("rank", models.BigIntegerField()),
                (
                    "queue",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="review.reviewqueue",
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="frontier",
            constraint=models.UniqueConstraint(
                condition=models.Q(("reviewer__isnull", False)),
                fields=("queue", "reviewer"),
                name="frontier_of_reviewer",
            ),
        ),
        migrations.AddConstraint(
            model_name="frontier",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ai_rater", ""), _negated=True),
                fields=("queue", "ai_rater"),
                name="frontier_of_rater",
            ),
        ),
        migrations.AddIndex(
            model_name="slot",
            index=models.Index(
                condition=models.Q(
                    ("state", "open"), models.Q(("ai_rater", ""), _negated=True)
                ),
                fields=["ai_rater", "queue"],
                name="slot_of_rater",
            ),
        ),
    ]
