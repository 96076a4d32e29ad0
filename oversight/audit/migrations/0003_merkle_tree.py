"""The chain becomes a Merkle tree: links are dropped, and the sequencer makes them anew."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# Their constraints are checked before the tables change below, in this transaction.
_LINK_AGAIN = """
INSERT INTO audit_auditpending (event_id, project_id)
SELECT event.id, event.project_id
FROM audit_auditlink link JOIN audit_auditevent event ON event.id = link.event_id
ON CONFLICT DO NOTHING;
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0002_initial'),
        ('tenancy', '0001_initial'),
    ]

    operations = [
        migrations.RunSQL(_LINK_AGAIN, migrations.RunSQL.noop),
        migrations.DeleteModel('AuditLink'),
        migrations.CreateModel(
            name='AuditLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sequence', models.PositiveBigIntegerField()),
                ('hashes', models.BinaryField()),
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='link', to='audit.auditevent')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'sequence'), name='audit_link_gapless')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditlink',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='5221030e8148a90232beb8a7d024dd9c53a66346', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_a3e08', table='audit_auditlink', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditlink',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot truncate rows from % table', TG_TABLE_NAME;", hash='4894ee754e0a45a1b7b99daa5cbd4830d102bd33', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_53d7b', table='audit_auditlink', when='BEFORE')),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, _LINK_AGAIN),
    ]
