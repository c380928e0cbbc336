"""Figures of a model that is watched month by month: stability, drift alarms, back-test, challenger, migrations.

Everything is of one institution's own rows and counts, and stays there; docs/watch.md says what each figure means.
"""
