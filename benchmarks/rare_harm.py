"""A million records, one violation in a thousand, part of it like nothing the model knows.

Here no interval is narrow; the question is whether it is true.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.review_loop import round_of
from benchmarks.simulated_audits import METRICS
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import Window
from scoring.core.information_gain import gain_strategy
from scoring.core.queue_profiles import MEASURE
from scoring.core.sampling import floored_order_sample
from scoring.core.temperature import tau_for_effective_sample_size

FloatArray = NDArray[np.float64]

N_RECORDS, PREVALENCE, FLAGGED_SHARE = 1_000_000, 0.001, 0.001
N_ROUNDS, PER_ROUND, FLOOR, SIZE_IN_BUDGETS = 8, 100, MEASURE.floor, MEASURE.size_in_budgets
UNFORESEEN = (0.0, 0.2, 0.5)


def rare_harm_audits(runs: int, seed: int) -> None:
    """Coverage and width per share of unforeseen violations, with the floor's limits or not."""
    print(
        f"\nN = {N_RECORDS:,}, prevalence {PREVALENCE:.1%}, {N_ROUNDS * PER_ROUND} verdicts, floor "
        f"{FLOOR}; {runs} audits each:\ncoverage / mean width [coverage without the floor's limits]"
    )
    print(f"{'unforeseen':12}" + "".join(f"{metric:>26}" for metric in METRICS))
    for share in UNFORESEEN:
        rng = np.random.default_rng(seed)
        found: dict[str, list[tuple[bool, float, bool]]] = {metric: [] for metric in METRICS}
        logit, y, flagged = _traffic(share, rng)
        truths = {
            "prevalence": y.mean(),
            "precision": y[flagged].mean(),
            "recall": y[flagged].sum() / y.sum(),
            "fpr": (1 - y)[flagged].sum() / (1 - y).sum(),
        }
        # The model is frozen, so that only the design is under test: gains and τ are one for all.
        gain = gain_strategy("hybrid_fast_v1")(
            logit, np.full(y.size, 1.0), base_rate=PREVALENCE
        ).gain
        tau, f = tau_for_effective_sample_size(gain, SIZE_IN_BUDGETS * PER_ROUND), expit(logit)
        for _ in range(runs):
            windows = [_audit(gain, tau, f, y, flagged, rng)]
            for metric in METRICS:
                estimate, truth = estimate_rate(windows, metric), truths[metric]
                if estimate.low is None or estimate.high is None:
                    found[metric].append((True, 1.0, True))
                    continue
                bare = (estimate.design_low or 0.0) <= truth <= (estimate.design_high or 0.0)
                covered = estimate.low <= truth <= estimate.high
                found[metric].append((covered, estimate.high - estimate.low, bare))
        cells = []
        for metric in METRICS:
            covered, width, bare = np.mean(np.array(found[metric], dtype=float), axis=0)
            cells.append(f"{covered:.3f} / {width:.4f} [{bare:.2f}]")
        print(f"{share:<12}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def _traffic(
    unforeseen: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """The model's log-odds, the truth, and what the detector flags."""
    y = np.zeros(N_RECORDS)
    y[: int(PREVALENCE * N_RECORDS)] = 1.0
    lean = rng.normal(size=N_RECORDS)
    n_seen = int((1.0 - unforeseen) * y.sum())
    lean[:n_seen] += 3.5
    logit = 2.5 * lean - 11.0
    flagged = np.zeros(N_RECORDS, dtype=bool)
    flagged[np.argsort(-lean)[: int(FLAGGED_SHARE * N_RECORDS)]] = True
    return logit, y, flagged


def _audit(
    gain: FloatArray,
    tau: float,
    f: FloatArray,
    y: FloatArray,
    flagged: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Window:
    """Eight rounds of the same model over what earlier rounds left."""
    left, rounds = np.ones(y.size, dtype=bool), []
    for _ in range(N_ROUNDS):
        pool = np.flatnonzero(left)
        draw = floored_order_sample(
            gain[pool],
            np.maximum(rng.random(pool.size), 2.0**-54),
            budget=PER_ROUND,
            tau=tau,
            floor=FLOOR,
        )
        rounds.append(round_of(draw, gain[pool], f[pool], y[pool], flagged[pool]))
        left[pool[draw.selected]] = False
    sizes = int((~flagged).sum()), int(flagged.sum())
    return Window(y.size, sizes, tuple(rounds))
