"""Constants fitted by benchmarks/gain/run.py, which writes this file: do not edit by hand."""

HALF = 5.0
LINE = (0.1133, -0.3217, 0.1092, 0.0491)
SPREAD = (0.000244, 0.025725, 0.004197, 0.051437)
LEAST_SPREAD = 0.01
QUANTILES = (-3.121, -1.821, -0.72, -0.015, 0.877, 1.643, 2.171)
EXPECTED_LINE = (0.666, -0.6501, 0.0373)
EXPECTED_SPREAD = (0.004084, 0.018219)
