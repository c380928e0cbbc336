"""Redoing what benchmarks/ claims: manifests, figures, what moved, history, and the table of claims."""
