"""Validation of a score's probabilities of default: calibration, discrimination, stability, concentration, bounds.

All tests take counts of defaults and others by score (analysis/score_counts): those of a bank's own rows are exact,
those of a study's evaluation carry noise of a known variance, which every test takes into account. docs/validation.md
states what each says.
"""
