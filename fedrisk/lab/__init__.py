"""The laboratory: data sets, sweeps and baselines, to compare privacy with accuracy; for research."""
