"""What the scoring floor stores: models seen, scorers, records with their payloads, batches."""

from scoring.models.backtests import Backtest
from scoring.models.batches import IngestBatch, Window
from scoring.models.drift import BaselineCheckpoint, DriftReference, DriftReport, WindowShare
from scoring.models.model_versions import ModelVersion
from scoring.models.record_scores import RecordScore, Rescoring
from scoring.models.records import Action, InferenceRecord, RecordPayload
from scoring.models.scorers import Scorer, ScorerVersion

__all__ = [
    "Action",
    "Backtest",
    "BaselineCheckpoint",
    "DriftReference",
    "DriftReport",
    "InferenceRecord",
    "IngestBatch",
    "ModelVersion",
    "RecordPayload",
    "RecordScore",
    "Rescoring",
    "Scorer",
    "ScorerVersion",
    "Window",
    "WindowShare",
]
