"""Explanations are read whole and never searched: as text they cost a third of what jsonb does."""

from django.db import migrations

import scoring.models.fields


class Migration(migrations.Migration):
    dependencies = [("scoring", "0006_backtests")]

    operations = [
        migrations.AlterField(
            model_name="recordpayload",
            name="reasons",
            field=scoring.models.fields.JSONTextField(default=list),
        ),
        migrations.AlterField(
            model_name="recordpayload",
            name="intervention",
            field=scoring.models.fields.JSONTextField(null=True),
        ),
    ]
