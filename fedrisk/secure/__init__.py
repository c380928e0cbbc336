"""Sums over enterprises that nobody sees bare: rings, masked products and sums, sealed envelopes."""
