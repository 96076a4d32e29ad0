"""Totals, rates and confidence sequences that hold under floored order sampling, version 1.

Everything here takes plain arrays: what was drawn, with which probability, and what came of it.
"""
