"""The columns of format version 1, per kind of dataset. A released format is never edited."""

from dataclasses import dataclass

FORMAT_VERSION = 1

TRAIN, EVALUATION = "train", "evaluation"
SPLITS = (TRAIN, EVALUATION)
RAW, CALIBRATION, CLASSIFICATION, EVALUATION_KIND = (
    "raw",
    "calibration",
    "classification",
    "evaluation",
)
KINDS = (RAW, CALIBRATION, CLASSIFICATION, EVALUATION_KIND)
WITH_CONTENT = (CLASSIFICATION, EVALUATION_KIND)
FORMATS = ("jsonl", "csv", "parquet")
LABEL_RULES = ("adjudicated", "majority", "single")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type (text, integer, number, boolean, time), what it says."""

    name: str
    type: str
    meaning: str


_SHARED = (
    Column("record_id", "text", "The record's id."),
    Column("external_id", "text", "The id that the client gave the record."),
    Column("occurred_at", "time", "When the inference happened, UTC."),
    Column("model_name", "text", "The monitored model."),
    Column("model_version", "text", "Its version."),
    Column("score", "number", "Score at ingest, 1 - conformal p, from 0 to 1."),
    Column("tier", "integer", "Tier of the score, from 0 to 4."),
    Column("label", "label", "What the verdicts say; empty where they do not decide."),
    Column("label_rule", "text", "How the label was reached: single, majority, adjudicated, tie."),
    Column("n_verdicts", "integer", "Verdicts that the case's resolution rests on."),
    Column("agreement", "number", "Share of pairs of reviewers who say the same."),
    Column(
        "inclusion_probability", "number", "q of the round that drew the record; 1 where certain."
    ),
    Column("weight", "number", "Σ weight·label estimates the total over the covered records."),
    Column("round_id", "integer", "The sampling round; empty where a person chose the record."),
    Column("policy_version", "integer", "Number of the policy version judged by."),
    Column("rubric_version", "integer", "Number of the rubric version judged by."),
    Column("scorer_version", "integer", "Number of the scorer version that gave the score."),
    Column("stratum", "text", "stream, evaluation, intervened; certain: chosen by a person."),
    Column("split", "text", "train, or evaluation for held-out records."),
    Column("in_prefix", "boolean", "Whether the row is in the finished part of its round."),
    Column("p_violation", "number", "Calibrated probability of a violation at ingest, if known."),
    Column("raw_score", "number", "The sum of the score's contributions."),
    Column("case_id", "text", "The case."),
    Column("case_kind", "text", "How the case came to be: sampled, escalated, gold ..."),
    Column("rubric_digest", "text", "SHA-256 of the form that was shown."),
    Column("clause_hashes", "text", "JSON: the clauses that the label rests on, by digest."),
)
_VERDICT = (
    Column("verdict_id", "text", "The verdict."),
    Column("supersedes", "text", "The earlier verdict that this one corrects."),
    Column("is_superseded", "boolean", "Whether a later verdict corrects this one."),
    Column("is_counted", "boolean", "Whether the case's resolution rests on this verdict."),
    Column("is_human", "boolean", "False for AI raters, who are never counted as human."),
    Column("is_blind", "boolean", "Given before score, tier and reasons were shown."),
    Column("reviewer", "text", "A keyed pseudonym, the same person throughout the project."),
    Column("violation", "boolean", "What the rubric's violation rule makes of the answers."),
    Column("answers", "text", "JSON: question to answer."),
    Column("seconds", "number", "Time spent."),
    Column("created_at", "time", "When the verdict was given, UTC."),
    Column("note", "text", "The reviewer's note, where the record's training consent allows."),
    Column("texts", "text", "JSON: free answers and passages, under the same condition."),
)
_CONTENT = (
    Column("input", "text", "What the model was given, JSON as it came in."),
    Column("output", "text", "What the model answered, JSON as it came in."),
)


def columns_of(kind: str, label_type: str) -> tuple[Column, ...]:
    """The columns of a kind, `label` with its type settled: integer, number or text."""
    extra = {RAW: _VERDICT, CALIBRATION: (), CLASSIFICATION: _CONTENT, EVALUATION_KIND: _CONTENT}
    return tuple(
        Column(c.name, label_type, c.meaning) if c.type == "label" else c
        for c in (*_SHARED, *extra[kind])
    )
