"""A simulated province: latent enterprises, and what a bank, a tax office and a power utility see of them.

For demonstrations and tests. Nothing here is real: the codes carry a valid check character, but a district
number that is not assigned, so none can belong to an existing enterprise.
"""
