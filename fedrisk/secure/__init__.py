"""Sums over enterprises of which nobody sees the terms: rings, masked products and sums, envelopes."""
