"""The rows of a dataset made one by one, in plain Python: what the columns of rows.py come to."""

from collections import Counter

import numpy as np

from oversight.audit.services import content_hmac
from oversight.lib import codec


def weight_of(row, draws):
    if row["round_id"] is None:
        return float(row["case_kind"] == "escalated")
    if row["is_certain_too"]:
        return 0.0
    place = (row[name] for name in ("position", "gain", "inclusion_probability"))
    return float(draws[row["round_id"]].weights(*(np.array([value]) for value in place))[0])


def withheld(dataset, row):
    if row["erased_at"] is not None:
        return "erased"
    if dataset.kind == "classification" and row["held_out"]:
        return "held_out"
    if dataset.kind == "classification" and not row["may_train"]:
        return "no_training_consent"
    return None


def make_row(dataset, labels, draws, row, emptied):
    is_certain = row["case_kind"] == "escalated"
    drawn = row["round_id"] is not None
    weight = weight_of(row, draws)
    made = {
        **row,
        "split": "evaluation" if row["held_out"] else "train",
        "stratum": row["round_stratum"] or ("certain" if is_certain else row["case_kind"]),
        "in_prefix": is_certain or (drawn and row["position"] < draws[row["round_id"]].prefix),
        "weight": weight,
    }
    if is_certain:
        made["inclusion_probability"] = 1.0
    made |= (
        judged(dataset, row, weight, emptied)
        if dataset.kind == "raw"
        else resolved(dataset, row, emptied)
    )
    form = labels.forms[made["form"]]
    made["label"] = labels.label(made["form"], made["violation"], made["answers"])
    made["policy_version"] = form.policy_number
    made["rubric_version"] = form.number
    made["rubric_digest"] = form.digest
    made["clause_hashes"] = codec.canonical(made.get("clause_hashes") or form.clauses).decode()
    made["answers"] = codec.canonical(made["answers"]).decode()
    return made


def resolved(dataset, row, emptied):
    told = {}
    if dataset.label_rule == "single" and row["first"]:
        told |= {**row["first"], "label_rule": "single", "n_verdicts": 1, "agreement": None}
    if dataset.kind in ("classification", "evaluation") and not row["may_train"]:
        told |= {"input": None, "output": None}
        emptied["content_without_training_consent"] += 1
    return told


def judged(dataset, row, weight, emptied):
    resolution = row["resolution"] or {
        **{"n_verdicts": 0, "agreement": None, "n_counted": 0, "is_counted": False}
    }
    person = f"reviewer:{row['reviewer_id']}".encode()
    told = {
        "is_counted": resolution["is_counted"],
        "is_human": not row["ai_rater"],
        "reviewer": row["ai_rater"] or content_hmac(dataset.project, person)[:16],
        "label_rule": "single",
        "n_verdicts": resolution["n_verdicts"],
        "agreement": resolution["agreement"],
        "weight": weight / resolution["n_counted"] if resolution["is_counted"] else 0.0,
        "texts": codec.canonical(row["texts"]).decode() if row["texts"] else None,
    }
    hidden = "erased_note" if row["note_erased_at"] else None
    if not row["may_train"]:
        hidden = "note_without_training_consent"
    if hidden:
        emptied[hidden] += bool(row["note"] or row["texts"])
        told |= {"note": None, "texts": None}
    return told


def tally_of(rows, labels):
    """What is counted of rows that leave, in the words of the manifest."""
    said = Counter()
    for row in rows:
        known = "known" if labels.type == "number" else str(row["label"])
        said["unknown" if row["label"] is None else known] += 1
    total = 0.0
    for row in rows:
        total += row["weight"]
    return {
        "n_rows": len(rows),
        "labels": said,
        "consent": Counter((row["may_train"], row["consent_basis"]) for row in rows),
        "strata": Counter(row["stratum"] for row in rows),
        "beyond_prefix": sum(not row["in_prefix"] for row in rows),
        "certain_too": sum(bool(r["round_id"] is not None and r["is_certain_too"]) for r in rows),
        "weight_sum": total,
        "forms": {row["form"] for row in rows},
        "models": {(row["model_name"], row["model_version"]) for row in rows},
        "scorers": {(row["scorer"], row["scorer_version"]) for row in rows},
    }
