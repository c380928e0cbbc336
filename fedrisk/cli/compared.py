"""Eight words that two people compare over another channel, before a key is taken for somebody's."""

import sys

import typer

from fedrisk.cli.output import alert
from fedrisk.errors import ConfigError
from fedrisk.language import _


def compare(whose: str, words: str, given: str | None, *, yes: bool = False) -> None:
    """Go on only if a person compared the words: typed after ``--words``, answered here, or stated by ``--yes``.

    whose: for example "the request of city_bank".

    Raises:
        EnvelopeError: the words that were typed are others.
        ConfigError: nobody says that they were compared.
    """
    from fedrisk.deploy.words import same_words

    if given is not None:
        same_words(given, words, whose)
        return
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            f'the words of {whose} were not compared; ask for them over another channel, and give them as --words "..."'
        )
    alert(_("words of {whose}: {words}", whose=whose, words=words), style="bold")
    question = _("Did the other side say these eight words to you, over the telephone or face to face?")
    if not typer.confirm(question, default=False, err=True):
        raise ConfigError(f"the words of {whose} were not compared; nothing was done")
