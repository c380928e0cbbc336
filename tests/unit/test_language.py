"""Texts in the languages of people: chosen as stated, and every text of the package translated with its values."""

import re
from functools import cache
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


TERMS = {
    "hold-out": "留出",
    "default rate": "违约率",
    "pseudonyms?": "假名",
    "privacy budget": "隐私预算",
    "scorecard": "评分卡|scorecard",
    "standard errors?": "标准误",
    "audit (?:trail|log)": "审计轨迹",
    "data holders?": "数据持有方",
    "key authority": "密钥机构",
    "consents?": "授权|consent",
    "the hub": "中枢",
    "noise|noisy": "噪",
    "masks?": "掩码",
    "quota": "配额|quota",
    "roster": "名册|roster",
    "signed heads?": "签名链头",
    "champion": "冠军|champion",
    "challenger": "挑战者|challenger",
    "trainers?": "训练方",
    "Gram matrix": "格拉姆",
    "log loss": "对数损失",
    "calibration": "校准",
    "monotone": "monotone|单调",
}
"""English terms, and how Chinese says each: the same everywhere, as docs/glossary.md has them. Keys and commands stay."""

HALF_WIDTH = re.compile("[\u4e00-\u9fff][,;:!?()][\u4e00-\u9fff]|[\u4e00-\u9fff]\\.( |$)")
"""Signs of English between letters of Chinese."""


@cache
def entries(code):
    return [
        (path, message)
        for path in sorted((ROOT / "languages" / code).glob("*.po"))
        for message in read_po(path.open("rb"), locale=code)
        if message.id
    ]


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


def test_chinese_has_the_signs_of_chinese():
    for path, message in entries("zh"):
        texts = [message.string] if isinstance(message.string, str) else list(message.string)
        for text in texts:
            assert not HALF_WIDTH.search(text), f"{path.name}: {text}"


@pytest.mark.parametrize(("english", "chinese"), TERMS.items())
def test_a_term_is_the_same_everywhere(english, chinese):
    said = re.compile(rf"(?<![\w.{{-])(?:{english})(?![\w.}}=-])")
    for path, message in entries("zh"):
        one = message.id if isinstance(message.id, str) else message.id[0]
        text = message.string if isinstance(message.string, str) else message.string[0]
        assert not said.search(one) or re.search(chinese, text), f"{path.name}: {one} | {text}"
