"""Anomaly detectors: fitted once on a baseline, then frozen and scored with numpy alone.

Fitting may use scikit-learn (`fitting.py`); scoring modules may not, since a monitor inside a
model's own process needs only numpy. A released ensemble rests on the scoring code here, so a
change of scores is a new detector name, never an edit; a test holds golden scores.
"""
