"""The loan officer's page in the language of the browser: every static text is known, and shown in Chinese."""

import re
from importlib.resources import files

import pytest

from fedrisk.language import catalogue
from fedrisk.serving.page_words import ANSWERS, TEXTS, script
from fedrisk.serving.words import WORDS
from support.browser import Browser

PAGE = files("fedrisk.serving") / "page"


def test_every_static_text_of_the_page_is_among_the_texts():
    body = re.sub(
        r"<head>.*</head>|<noscript>.*</noscript>", "", (PAGE / "index.html").read_text(), flags=re.DOTALL
    )
    shown = {re.sub(r"\s+", " ", text).strip() for text in re.findall(r">([^<>]+)<", body)}
    assert {text for text in shown if re.search("[a-z]", text)} - {"service.token"} <= set(TEXTS)


def test_every_text_that_an_answer_may_hold_is_translated():
    there = catalogue("zh")
    assert not [text for text in (*WORDS.values(), *ANSWERS) if ("message", text) not in there]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for name in ("index.html", "page.css", "page.js", "language.js"):
        content = (PAGE / name).read_text(encoding="utf-8")
        (folder / name).write_text(re.sub(r'(src|href)="/', r'\1="', content), encoding="utf-8")
    (folder / "words.js").write_text(script(), encoding="utf-8")
    browser = Browser()
    try:
        browser._call("Network.setUserAgentOverride", userAgent="test", acceptLanguage="zh-CN")
        browser.open((folder / "index.html").as_uri())
        yield browser
    finally:
        browser.close()


def test_a_chinese_browser_shows_chinese(page):
    page.run("document.querySelectorAll('[hidden]').forEach((e) => e.hidden = false)")
    assert page.run("document.documentElement.lang") == "zh-CN"
    assert page.run("document.querySelector('#form-title').textContent") == "申请人"
    left = page.run(
        "[...document.querySelectorAll('label, h1, h2, button, .help, .notice, legend, summary')]"
        ".map((e) => e.textContent.trim()).filter((t) => !/[\\u4e00-\\u9fff]/.test(t))"
    )
    assert left == []


def test_what_comes_later_is_chinese_too(page):
    page.run(
        "document.querySelector('#answer').replaceChildren(Object.assign(document.createElement('p'), {textContent: "
        "'power and tax give nothing: the consent has expired. Ask the enterprise for a new one.'}))"
    )
    page.wait("document.querySelector('#answer').textContent.includes('授权已过期')")
    assert page.text("#answer") == "power and tax没有给出任何内容：授权已过期。请企业重新授权。"
