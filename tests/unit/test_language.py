"""Texts in the languages of people: chosen as stated, and every text of the package translated with its values."""

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from fedrisk.errors import ConfigError
from fedrisk.language import LANGUAGES, VARIABLE, _, catalogue, language, speak, speaking
from support.help_texts import of_help
from support.messages import of_messages
from support.texts import ROOT, every

OTHERS = [code for code in LANGUAGES if code != "en"]
PLACEHOLDER = re.compile(r"\{\w*(?:[:!.\[][^{}]*)?\}|%\(\w+\)s")


def entries(code):
    for path in sorted((ROOT / "languages" / code).glob("*.po")):
        with path.open("rb") as content:
            for message in read_po(content, locale=code):
                if message.id:
                    yield path, message


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated(code):
    there = catalogue(code)
    missing = [f"{path.name}: {text}" for (kind, text), path in every().items() if (kind, text) not in there]
    assert not missing, (
        f"{len(missing)} texts; PYTHONPATH=tests python -m support.texts {code} prints entries"
    )


@pytest.mark.parametrize("code", OTHERS)
def test_translations_have_the_values_of_their_texts(code):
    for path, message in entries(code):
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        texts = [message.string] if isinstance(message.string, str) else list(message.string)
        assert all(texts), f"{path.name}: {ids[0]} has no translation"
        assert not message.fuzzy, f"{path.name}: {ids[0]} is marked as doubtful"
        wanted = sorted(p for p in set(PLACEHOLDER.findall(ids[-1])) if not p.startswith("{plural"))
        for text in texts:
            assert sorted(set(PLACEHOLDER.findall(text))) == wanted, f"{path.name}: {ids[0]}"


@pytest.mark.parametrize("code", OTHERS)
def test_no_text_is_translated_twice_or_left_from_before(code):
    said, seen = {**every(), **of_messages(), **of_help()}, dict[tuple[str, str], Path]()
    for path, message in entries(code):
        key = (message.context or "", message.id if isinstance(message.id, str) else message.id[0])
        assert key not in seen, f"{key} is in {path.name} and in {seen[key].name}"
        assert key in said, f"{path.name}: nothing says {key} any more"
        seen[key] = path


def test_the_language_is_that_of_the_block_the_variable_or_the_locale(monkeypatch):
    for name in (VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    speak(None)
    assert language() == "en"
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert language() == "zh"
    monkeypatch.setenv(VARIABLE, "en")
    assert language() == "en"
    with speaking("zh"):
        assert language() == "zh"
    assert language() == "en"
    with pytest.raises(ConfigError, match="there is no language fr"), speaking("fr"):
        pass


def test_a_text_without_translation_is_shown_in_english():
    with speaking("zh"):
        assert _("nobody translates {what}", what="this") == "nobody translates this"
