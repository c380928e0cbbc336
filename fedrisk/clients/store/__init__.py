"""A node's own disk."""
