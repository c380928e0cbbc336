"""Display names: any script, one line, nothing that pretends to be another; digests of studies without them stay."""

import pytest

from fedrisk.display_name import LONGEST, checked_display_name
from fedrisk.errors import ConfigError
from fedrisk.study import study_from

STUDY = {
    "name": "s",
    "purpose": "credit_scoring",
    "privacy": {"epsilon": 1.0},
    "institutions": [{"name": "bank_a", "role": "bank"}, {"name": "tax", "role": "holder"}],
}


def with_names(*names):
    members = [
        {**m, **({} if n is None else {"display_name": n})}
        for m, n in zip(STUDY["institutions"], names, strict=True)
    ]
    return study_from({**STUDY, "institutions": members})


@pytest.mark.parametrize(
    "name",
    [
        "甲银行",
        "Банк Развития",
        "البنك الأول",
        "국민은행",
        "Crédit Agricole S.A.",
        "東京 Bank 1",
        "भारतीय स्टेट बैंक",
        "ธนาคาร",
    ],
)
def test_any_script(name):
    assert with_names(name, None).display_names == {"bank_a": checked_display_name(name)}


@pytest.mark.parametrize(
    "name",
    [
        "",
        " x",
        "x" * (LONGEST + 1),
        "a\nb",
        "a\tb",
        "a\x00b",
        "a\x1b[31mb",
        "a\u202eb",
        "a\u2066b",
        "a\u200bb",
        "a\ufeffb",
        "a\u00adb",
        "\u0301a",
        "a\u0301\u0301\u0301\u0301",
        "Bаnk",
        "a\ue000b",
    ],
)
def test_what_cannot_be_printed_or_misleads_is_refused(name):
    with pytest.raises(ConfigError, match="display_name"):
        with_names(name, None)


@pytest.mark.parametrize("names", [("X Bank", "x  BANK"), ("tax", None), (None, "Bank_A"), ("Ｘ", "x")])
def test_names_of_one_study_differ_to_the_eye(names):
    with pytest.raises(ConfigError, match="reads like"):
        with_names(*names)


def test_own_name_may_be_shown():
    assert with_names("bank_a", None).display_names == {"bank_a": "bank_a"}


def test_without_them_the_canonical_text_has_no_word_of_them():
    """Studies from before there were display names keep their digest, for ever."""
    study = study_from(STUDY)
    assert "display" not in study.canonical()
    assert study.digest() == with_names(None, None).digest()
    named = with_names("甲银行", None)
    assert named.digest() != study.digest()
    again = study_from(named.model_dump(mode="json"))
    assert again.display_names == {"bank_a": "甲银行"} and again.digest() == named.digest()
    assert named.without(["tax"]).display_names == {"bank_a": "甲银行"}
