"""What the review floor stores: policies and rubrics, queues and rounds, cases and verdicts."""

from review.models.cases import Case, CaseEvidence, Selection, Skip, Slot
from review.models.datasets import DatasetVersion
from review.models.frontiers import Frontier
from review.models.learning import LearningRun, LearningSettings
from review.models.policies import Clause, Policy, PolicyVersion
from review.models.populations import CountedWindow, PopulationCount
from review.models.posteriors import FeatureSpace, PosteriorVersion
from review.models.queues import ReviewQueue, RoundCut, SamplingRound
from review.models.rubrics import Question, Rubric, RubricVersion
from review.models.verdicts import CaseResolution, EvidenceReveal, Verdict, VerdictNote

__all__ = [
    "Case",
    "CaseEvidence",
    "CaseResolution",
    "Clause",
    "CountedWindow",
    "DatasetVersion",
    "EvidenceReveal",
    "FeatureSpace",
    "Frontier",
    "LearningRun",
    "LearningSettings",
    "Policy",
    "PolicyVersion",
    "PopulationCount",
    "PosteriorVersion",
    "Question",
    "ReviewQueue",
    "RoundCut",
    "Rubric",
    "RubricVersion",
    "SamplingRound",
    "Selection",
    "Skip",
    "Slot",
    "Verdict",
    "VerdictNote",
]
