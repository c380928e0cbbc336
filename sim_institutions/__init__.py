"""A simulated province: enterprises with a latent health, and what each institution observes of them.

For demonstrations, tests and benchmarks. Nothing here is real: the codes carry valid check characters, but
district numbers that are not assigned, so none can belong to an existing enterprise.
"""
