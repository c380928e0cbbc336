"""Attacks on studies: real nodes and messages, on tables made for it; never on anybody's records."""
