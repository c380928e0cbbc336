"""Constants fitted by benchmarks/gain/run.py, which writes this file: do not edit by hand."""

HALF = 5.0
LINE = (0.085, -0.2381, 0.1152, 0.0391)
SPREAD = (0.000183, 0.014286, 0.009682, 0.031292)
LEAST_SPREAD = 0.01
QUANTILES = (-3.111, -1.665, -0.634, 0.009, 0.821, 1.85, 3.816)
EXPECTED_LINE = (0.7267, -0.719, 0.1006)
EXPECTED_SPREAD = (0.002409, 0.020438)
