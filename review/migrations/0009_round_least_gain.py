"""How far near-duplicates are discounted is kept with the round; None: without a limit."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("review", "0008_counted_windows")]

    operations = [
        migrations.AddField(
            model_name="samplinground",
            name="least_gain",
            field=models.FloatField(null=True),
        ),
    ]
