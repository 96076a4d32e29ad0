"""Answering cases over the API, as reviewers do, and reading what was exported of them."""

import json

from review.models import Case, CaseResolution, RubricVersion
from review.services import datasets


def answers_for(case, is_violation):
    told = {}
    for question in case["rubric"]["questions"]:
        if question["violation"] if "violation" in question else question["kind"] == "boolean":
            told[question["key"]] = is_violation
        elif question["kind"] == "choice":
            told[question["key"]] = question["options"][0]["value"]
        elif question["kind"] == "multichoice":
            told[question["key"]] = []
        elif question["kind"] == "scale":
            told[question["key"]] = question["options"]["min"]
        elif question["required"]:
            told[question["key"]] = "text"
    return told


def judge(api, queue, n=None, note="", seconds=None):
    """Answer the next `n` cases, or all; every third record violates. Returns the verdicts."""
    given = []
    while n is None or len(given) < n:
        answer = api.post(f"queues/{queue.slug}/claim")
        if answer.status_code == 204:
            break
        got = answer.json()
        number = int(got["case"]["record"]["external_id"].rpartition("-")[2])
        body = {
            "claim_token": got["claim"]["token"],
            "answers": answers_for(got["case"], number % 3 == 0),
            "note": note,
            "seconds": seconds,
        }
        verdict = api.post(f"cases/{got['case']['id']}/verdicts", body)
        assert verdict.status_code == 201, verdict.content
        given.append(verdict.json())
    return given


def rows_of(dataset):
    """All rows of a finished JSONL dataset, whatever their split."""
    folder = datasets.folder_of(dataset)
    found = []
    for fact in dataset.manifest["files"]:
        if fact["path"].startswith("data/"):
            lines = (folder / fact["path"]).read_text().splitlines()
            found += [json.loads(line) for line in lines]
    return found


def conclude(queue, says, rule="single"):
    """Resolve all open cases of a queue at once: `says(evidence)` is the answer, None a tie.

    For tests that need thousands of answers and are not about how one is given.
    """
    found = Case.objects.filter(queue=queue, state=Case.State.OPEN).select_related("evidence")
    open_cases = list(found)
    form = RubricVersion.objects.filter(rubric=queue.rubric, published_at__isnull=False).last()
    labels = [says(case.evidence) for case in open_cases]
    CaseResolution.objects.bulk_create(
        [
            CaseResolution(
                case=case,
                number=1,
                rule=rule,
                answers={} if label is None else {"violation": bool(label)},
                violation=label,
                n_verdicts=1,
                verdicts=[],
                rubric_version=form,
            )
            for case, label in zip(open_cases, labels, strict=True)
        ]
    )
    found.update(state=Case.State.RESOLVED)
    return len(open_cases)
