"""Exports: from one snapshot of the verdicts to files with exact weights, a card and a manifest."""
