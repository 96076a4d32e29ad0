"""Records of two kinds that a posterior can tell apart, and people who judge them."""

import numpy as np

from review.services import claims, verdicts
from tests.factories import make_record

DIMENSION = 8
BAD = 3  # every third record violates; it lies apart in fingerprint and signal


def is_bad(index):
    return index % BAD == 0


def records(start, stop, *, fingerprints=True, **changes):
    """Records whose fingerprint and signal tell, noisily, whether they violate."""
    found = []
    for index in range(start, stop):
        rng = np.random.default_rng(index)
        shift = 2.0 if is_bad(index) else 0.0
        vector = rng.normal(shift, 1.0, DIMENSION).round(3).tolist()
        told = {"signals": {"risk": round(float(rng.normal(shift, 1.0)), 3)}}
        if fingerprints:
            told["fingerprint"] = vector
        found.append(make_record(index, **{**told, **changes}))
    return found


def number_of(external_id):
    return int(external_id.rpartition("-")[2])


def judge(actor, queue, n=None, says=None):
    """Answer the next `n` cases, or all; returns the verdicts."""
    says = says or (lambda evidence: is_bad(number_of(evidence.external_id)))
    given = []
    while n is None or len(given) < n:
        claim = claims.claim_next(actor, queue=queue)
        if claim is None:
            break
        answers = _answers(claim.slot.rubric_version, says(claim.case.evidence))
        given.append(
            verdicts.submit(actor, case_id=claim.case.pk, claim_token=claim.token, answers=answers)
        )
    return given


def _answers(version, is_violation):
    told = {}
    for question in version.questions.all():
        if question.violation is not None:
            told[question.key] = is_violation
        elif question.required and question.kind == "boolean":
            told[question.key] = False
        elif question.required and question.kind == "scale":
            told[question.key] = question.options["min"]
        elif question.required and question.kind == "choice":
            told[question.key] = question.options[0]["value"]
        elif question.required:
            told[question.key] = []
    return told
