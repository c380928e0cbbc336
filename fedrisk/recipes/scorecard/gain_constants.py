"""Constants fitted by benchmarks/gain/run.py, which writes this file: do not edit by hand."""

HALF = 5.0
LINE = (0.0936, -0.2231, 0.0997, 0.0386)
SPREAD = (6.9e-05, 0.015377, 0.001215, 0.056281)
LEAST_SPREAD = 0.01
QUANTILES = (-2.767, -1.419, -0.821, 0.013, 0.955, 1.893, 2.97)
EXPECTED_LINE = (0.7072, -0.4498, -0.0489)
EXPECTED_SPREAD = (0.004428, 0.01816)
