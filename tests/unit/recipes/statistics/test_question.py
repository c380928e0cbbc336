"""Questions in one line: the short form is SQL, and what a study cannot answer is refused and never passed over."""

import pytest

from fedrisk.errors import ConfigError
from fedrisk.recipes.statistics.question import Named, parse_question


def test_the_short_form_and_sql_are_the_same_question():
    short = parse_question("mean(load_growth), count(*) by county, sector from power_utility")
    sql = "SELECT county, AVG(load_growth), COUNT(*) FROM power_utility GROUP BY county, sector"
    assert short == parse_question(sql)
    assert [t.kind for t in short.terms] == ["mean", "count"]
    assert short.by == (Named(column="county"), Named(column="sector"))
    assert short.owner == "power_utility"


def test_words_of_the_short_form_may_come_in_any_order():
    asked = parse_question("median(x) from tax where sector in ('a', 'b') by county")
    assert asked == parse_question("median(x) by county where sector in ('a', 'b') from tax")
    assert asked.only[0].values == ("a", "b")
    assert asked.terms[0].quantile == 0.5


def test_a_remark_does_not_swallow_the_rest():
    assert parse_question("mean(x) -- of what?\nby county").by == (Named(column="county"),)


def test_quoted_names_and_texts_are_no_words_of_the_question():
    asked = parse_question("""share("by" = 'from a by b') by "所属 县" """)
    assert asked.terms[0].column == Named(column="by")
    assert asked.terms[0].values == ("from a by b",)
    assert asked.by == (Named(column="所属 县"),)


def test_columns_of_several_owners():
    asked = parse_question("SELECT avg(bank.limit_use) AS used FROM registry GROUP BY registry.county")
    assert asked.terms[0].column == Named(owner="bank", column="limit_use")
    assert asked.terms[0].alias == "used"
    assert asked.by == (Named(owner="registry", column="county"),)


REFUSED = {
    "": "empty",
    "select * from a": "no figure",
    "select avg(x) from a join b on a.i = b.i": "JOIN",
    "select avg(x) from a, b": "JOIN",
    "select avg(x) from (select 1)": "no other SELECT",
    "with q as (select 1) select avg(x) from q": "WITH",
    "select 1; select 2": "one question",
    "mean(x); drop table a": "one question",
    "delete from a": "changes nothing",
    "avg(x) union select 1": "no SELECT",
    "avg(x) over (partition by y)": "no figure",
    "avg(x) filter (where y = 1)": "no figure",
    "sum(x) / count(*)": "no figure",
    "avg(x + 1)": "without arithmetic",
    "avg(x) by lower(a)": "without arithmetic",
    "avg(x) by 1": "without arithmetic",
    "avg(x) by a by b": "twice",
    "min(x) by a": "one enterprise's own",
    "x by county": "one enterprise's own",
    "count(x)": "takes \\*",
    "count(distinct x)": "DISTINCT",
    "select distinct avg(x) from a": "DISTINCT",
    "avg(x) by a having count(*) > 1": "HAVING",
    "select avg(x) from a order by 1": "ORDER BY",
    "select avg(x) from a limit 3": "LIMIT",
    "select avg(x) from a tablesample (10 percent)": "nothing beside it",
    "select avg(x) from a group by rollup (b)": "without arithmetic",
    "select avg(x) from a group by all": "columns alone",
    "avg(x) where x > 3": "neither",
    "avg(x) where a = 'b' or c = 'd'": "neither",
    "avg(x) where a not in ('b')": "neither",
    "avg(x) where a in (select 1)": "neither",
    "avg(x) where a = b": "single quotes",
    "share(x != 'a')": "neither",
    "quantile(x, 2)": "between 0 and 1",
    "stddev(x)": "variance",
    "mean(x": "cannot be read",
    "mean(x) " + " " * 5000: "longer",
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items(), ids=[k[:40] for k in REFUSED])
def test_everything_else_is_refused_with_what_can_be_asked(text, why):
    with pytest.raises(ConfigError, match=why) as refused:
        parse_question(text)
    assert "what can be asked" in str(refused.value)
    assert "\x1b" not in str(refused.value)
