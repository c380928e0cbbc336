"""Self-checks against published lists of requirements, and the proofs behind the guarantees, each with its tests."""
