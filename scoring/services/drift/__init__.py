"""Drift of a project's records: what is due, what is compared, what is told and kept."""
