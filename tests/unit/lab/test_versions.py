"""Versions by which results are told apart."""

import numpy as np

from fedrisk.lab.versions import differing, in_words, source_digest, versions


def test_versions_have_the_code_and_what_computes():
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["fedrisk"].endswith(f"+{source_digest()}")
    assert f"numpy {np.__version__}" in in_words(found)


def test_a_package_that_came_or_went_is_a_difference():
    assert differing({"a": "1"}, {"a": "1"}) == ""
    assert differing({"a": "1"}, {"b": "2"}) == "a 1, now not there; b not there, now 2"
