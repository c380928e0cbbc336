"""Constants fitted by benchmarks/gain/run.py, which writes this file: do not edit by hand."""

HALF = 5.0
LINE = (0.0869, -0.2785, 0.1106, 0.0369)
SPREAD = (0.000216, 0.025491, 0.010332, 0.029547)
LEAST_SPREAD = 0.01
QUANTILES = (-2.815, -1.393, -0.646, -0.005, 0.867, 1.909, 2.997)
EXPECTED_LINE = (0.7146, -0.6462, -0.0495)
EXPECTED_SPREAD = (0.002543, 0.019859)
