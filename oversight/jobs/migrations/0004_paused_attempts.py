from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_ledger_and_ticks")]

    operations = [
        migrations.AlterField(
            model_name="jobattempt",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[
                    ("done", "Done"),
                    ("refused", "Refused"),
                    ("error", "Error"),
                    ("lost", "Lost"),
                    ("paused", "Paused"),
                ],
                max_length=8,
            ),
        ),
    ]
