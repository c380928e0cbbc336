"""Arithmetic on released numbers: estimates with intervals, indices, shares of losses, contributions, changes.

Nothing here sees a record. Whatever follows from released numbers costs no further privacy (post-processing; Dwork &
Roth 2014, section 2.1), so all of it can be done again, by anybody who has a study's release record.
"""
