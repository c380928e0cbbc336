"""What a bank's own table of decisions says of a score, beside it: advice for the loan officer."""

from pathlib import Path

from fedrisk.errors import ConfigError
from fedrisk.institution import Institution
from fedrisk.serving.decisions import Case, Decisions, advise, load_decisions
from fedrisk.serving.score_forms import Ages, Application, ScoreAnswer, ScoreRequest


class Table:
    """The bank's table of decisions, read again when its file is another one; none where the bank has none."""

    def __init__(self) -> None:
        self._mark: tuple[Path, int, int] | None = None
        self._table: Decisions | None = None

    def of(self, institution: Institution) -> Decisions | None:
        """The table today; ConfigError where it breaks a rule or cannot be read."""
        path = institution.decisions_path
        if path is None:
            return None
        try:
            found = path.stat()
        except OSError as error:
            raise ConfigError(
                f"the table of decisions {path} cannot be read: {error.strerror}; put it back, or take 'decisions' out "
                "of the institution's file"
            ) from None
        mark = (path, found.st_mtime_ns, found.st_size)
        if mark != self._mark:
            self._table, self._mark = load_decisions(path), mark
        return self._table


def advised(table: Decisions, request: ScoreRequest, row: int, answer: ScoreAnswer) -> ScoreAnswer:
    """The answer with the table's grade and, where the request names one of its products, its advice.

    Without a score the table refers to a person. ConfigError where it has no such product.
    """
    news: dict[str, object] = {}
    if answer.probability is not None:
        news = {"grade": table.grade(answer.probability).name, "grade_scale": "bank"}
    if request.product in {p.name for p in table.products}:
        news["decision"] = advise(table, _case(request, row, answer)).to_dict()
    return answer.model_copy(update=news) if news else answer


def _case(request: ScoreRequest, row: int, answer: ScoreAnswer) -> Case:
    applied = request.applications.get(row, Application())
    missing, old = _counts(answer.ages)
    return Case(
        product=request.product,
        probability=answer.probability,
        amount=applied.amount,
        months=applied.months,
        turnover=applied.turnover,
        missing=missing,
        old=old,
        green=applied.green,
        measures=dict(applied.measures),
        reasons=answer.reasons,
    )


def _counts(ages: Ages | None) -> tuple[int | None, int | None]:
    """Members that do not know the enterprise, and that know it by old records; None where that is withheld."""
    if ages is None:
        # A model without other members has nobody who could lack it.
        return 0, 0
    return ages.missing, ages.old
