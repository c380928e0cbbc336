"""Baselines: models without fedrisk on the rows of a study, one file for each family.

None looks at a label of the hold-out. Private ones take bounds, bins and scales from the public features, never from
rows; the others take what they learn of columns from training rows alone.
"""
