"""Messages of lower layers are found again by their pattern: whole, with values, within one another, and never wrongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk import language_patterns
from fedrisk.language import speaking
from fedrisk.language_patterns import Pattern, retold
from support.messages import missing as without_translation
from support.messages import of_messages, template

LEAST_TRANSLATED = 2250
"""Messages that have a translation, as ``python -m support.messages zh`` counts them: more with time, and never fewer.
A message whose English changes needs its entry in messages.po changed with it."""

TEXTS = {
    "{what} {path} does not exist; {hint}": "{what}{path}不存在；{hint}",
    "institution file": "机构文件",
    "institution file {path}": "机构文件{path}",
    "did you mean {near}?": "是不是{near}？",
    "the trail {why}": "轨迹{why}",
    "was cut off at entry {number}": "在条目{number}处截断",
    "{a} exceeds {b}, and {b} is the most": "{a}超过上限{b}",
    "first:\n{lines}": "首先：\n{lines}",
}


@pytest.fixture
def spoken(monkeypatch):
    monkeypatch.setattr(language_patterns, "_entries", lambda code: iter(TEXTS.items()))
    language_patterns._patterns.cache_clear()
    language_patterns._best.cache_clear()
    with speaking("zh"):
        yield
    language_patterns._patterns.cache_clear()
    language_patterns._best.cache_clear()


def test_names_are_listed_as_the_language_does(spoken):
    assert retold("the trail tax, power and court") == "轨迹tax、power、court"
    assert retold("tax and power") == "tax、power"
    assert retold("the trail of tax and power") == "轨迹of tax and power"
    with speaking("en"):
        assert retold("the trail tax and power") == "the trail tax and power"


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        # A text within a text, and the reading that knows most of it.
        (
            "institution file a.toml does not exist; did you mean b.toml?",
            "机构文件a.toml不存在；是不是b.toml？",
        ),
        ("the trail was cut off at entry 3", "轨迹在条目3处截断"),
        # A name before it, several sentences, several lines.
        ("bank: the trail was cut off at entry 3", "bank：轨迹在条目3处截断"),
        ("the trail is gone. the trail was cut off at entry 3", "轨迹is gone。轨迹在条目3处截断"),
        ("first:\n  a\n  b", "首先：\n  a\n  b"),
        ("  the trail was cut off at entry 3\nnobody knows this", "  轨迹在条目3处截断\nnobody knows this"),
        # A value that occurs twice is one value.
        ("x exceeds 3, and 3 is the most", "x超过上限3"),
        ("x exceeds 3, and 4 is the most", "x exceeds 3, and 4 is the most"),
        ("nobody knows this", "nobody knows this"),
    ],
)
def test_a_text_is_found_by_its_pattern(spoken, english, chinese):
    assert retold(english) == chinese


def test_english_stays_as_it_is(spoken):
    with speaking("en"):
        assert retold("the trail was cut off at entry 3") == "the trail was cut off at entry 3"


@given(path=st.text("abc/{}. ;:", min_size=1, max_size=20), hint=st.text("xyz {}:;,.", max_size=20))
def test_no_value_is_lost(path, hint):
    """Whatever stands in a text stands in what is told: also signs that a pattern is made of."""
    pattern = Pattern("{what} {path} does not exist; {hint}", "{what}{path}不存在；{hint}")
    text = f"file {path} does not exist; {hint}"
    readings = [*pattern.values(text)]
    assert readings
    for values in readings:
        assert sorted(pattern.told(values).replace("不存在；", "")) == sorted(
            text.replace(" does not exist; ", "", 1).replace(" ", "", 1)
        )


def test_texts_are_read_from_the_source_with_names_for_their_values():
    import ast

    def of(source):
        tree = ast.parse(source, mode="eval")
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                child.parent = node
        return template(tree.body)

    assert of("f'{self.name} has {len(rows):,} rows, {self.at} of {other.at} are wrong'") == (
        "{name} has {rows} rows, {at} of {at2} are wrong"
    )
    assert of('f\'{count} stud{"ies" if count > 1 else "y"} are left\'') == "{count} stud{plural} are left"
    assert of("'a set is written {1, 2}'") == "a set is written {{1, 2}}"
    assert of("f'{a}: {b}'") is None


def test_most_messages_are_translated_and_none_loses_its_translation():
    assert len(of_messages()) - len(without_translation("zh")) >= LEAST_TRANSLATED


def test_every_translated_message_is_found_again():
    """Its own English text with its values' names as values is told as its translation, and as no other one."""
    with speaking("zh"):
        fixed, patterns = language_patterns._patterns("zh")
        assert fixed and patterns
        for pattern in patterns[::7]:
            names = {name: name for name in next(pattern.values(pattern.english), {})}
            assert names or "{{" in pattern.english, pattern.english
    assert len(of_messages()) > 2000
