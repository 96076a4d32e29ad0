"""Copying records into evidence, so that cases outlive the partitions they came from."""

from collections.abc import Iterable
from uuid import UUID

from oversight.tenancy.models import Project
from review.models import CaseEvidence
from scoring.models import InferenceRecord, RecordPayload


def copy(project: Project, record_ids: Iterable[UUID]) -> dict[UUID, CaseEvidence]:
    """Evidence of these records, copied where there is none yet, by record id.

    Records that are gone, erased or closed to review are left out.
    """
    wanted = list(record_ids)
    held = set(
        CaseEvidence.objects.filter(project=project, record_id__in=wanted).values_list(
            "record_id", flat=True
        )
    )
    missing = [record for record in wanted if record not in held]
    payloads = RecordPayload.objects.in_bulk(missing)
    records = InferenceRecord.objects.of(project).filter(
        pk__in=missing, erased_at=None, may_review=True
    )
    CaseEvidence.objects.bulk_create(
        [_evidence(row, payloads[row.pk]) for row in records if row.pk in payloads],
        ignore_conflicts=True,
    )
    return {
        row.record_id: row
        for row in CaseEvidence.objects.filter(
            project=project, record_id__in=wanted, erased_at=None
        )
    }


def _evidence(row: InferenceRecord, payload: RecordPayload) -> CaseEvidence:
    return CaseEvidence(
        project_id=row.project_id,
        record_id=row.pk,
        external_id=row.external_id,
        occurred_at=row.occurred_at,
        model_version_id=row.model_version_id,
        scorer_version_id=row.scorer_version_id,
        input=payload.input,
        output=payload.output,
        context=row.context,
        signals=row.signals,
        region=row.region,
        fingerprint=payload.fingerprint,
        raw=row.raw,
        score=row.score,
        p_violation=row.p_violation,
        weight=row.weight,
        tier=row.tier,
        action=row.action,
        reasons=payload.reasons,
        held_out=row.held_out,
        may_train=row.may_train,
        consent_basis=row.consent_basis,
        conversation_id=row.conversation_id,
        subject_id=row.subject_id,
        content_hash=row.content_hash,
    )
