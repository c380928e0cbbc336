"""Elliptic curves: the library libsodium, signatures of Ed25519, and which points nobody may sign with."""
