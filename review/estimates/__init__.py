"""Figures with honest intervals: what was drawn and judged, and of which population."""
