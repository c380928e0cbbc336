"""What fedrisk claims, one folder a claim, and how the claims are redone (`python -m benchmarks.redo`)."""
