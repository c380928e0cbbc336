"""The external score of an earlier study, and a column of the bank that has its name."""

from types import SimpleNamespace

import pytest

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.recipes.network.external_score import FEATURE, refuse_same_name


def test_a_column_of_its_name_is_refused_before_anything_is_charged():
    node = SimpleNamespace(name="alfa")
    other = Feature(institution="bank", column="debt", low=0.0, high=1.0)
    refuse_same_name(node, (other,))
    with pytest.raises(ConfigError, match="alfa: a column of the dictionary is called external_score"):
        refuse_same_name(node, (other, FEATURE))
