"""Alerts: one for each event, and the next only after a recovery that lasted."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError, StoreError
from fedrisk.models.binning import Bins
from fedrisk.watching.alert_book import AlertBook
from fedrisk.watching.alerts import ABOVE, BELOW, Alert, Rules, alert_id, new_alerts
from fedrisk.watching.history import WARNING, Kept
from fedrisk.watching.month import Month
from support.watching import write

RULES = Rules(fall=40, months=3, probability=0.1, recovery=2)


class Watched:
    """A watch by hand: months one after the other, and what each brings."""

    def __init__(self, folder, rules=RULES):
        self.kept, self.book, self.rules = Kept(folder).opened(), AlertBook(folder), rules
        self.month = Month(2026, 1)

    def next(self, scores, *, warning=None, **how):
        before = self.kept.newest()
        write(self.kept, str(self.month), scores, **how)
        if warning is not None:
            write(self.kept, str(self.month), warning, of=WARNING)
        events = {} if before is None else self.book.events(before)
        found = new_alerts(self.kept, self.month, self.rules, events, bank="alfa", watch="demo")
        raised = self.book.add(self.month, found, ["file"])
        self.book.keep_events(self.month, found.events)
        self.month = self.month.next()
        return {a.enterprise: a for a in raised}

    def close(self, alert):
        return self.book.act(alert.id, "closed", who="Officer", reason="called", month=self.kept.newest())


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path / "watch")


def test_a_fall_is_told_once_with_what_is_behind_it(watched):
    assert watched.next({"a": 600, "b": 600}, external={"a": 10, "b": 0}) == {}
    assert watched.next({"a": 610, "b": 600}, external={"a": 15, "b": 0}) == {}
    raised = watched.next({"a": 570, "b": 561}, external={"a": -12, "b": 0}, reasons=("use", "external data"))
    assert list(raised) == ["a"]
    alert = raised["a"]
    assert (alert.rules, alert.score, alert.before, alert.points) == (("fall",), 570, 610, -40)
    assert (alert.since, alert.external, alert.reasons) == ("2026-02", -27, ("use", "external data"))
    assert [watched.next({"a": 570 - 5 * k, "b": 600}) for k in range(5)] == [{}] * 5


def test_one_alert_names_all_signs_and_later_ones_are_noted(watched):
    watched.rules = Rules(fall=40, probability=0.1, warning=500, recovery=2)
    watched.next({"a": 600, "b": 600}, warning={"a": 600, "b": 600})
    raised = watched.next(
        {"a": 550, "b": 600}, probability={"a": 0.2, "b": 0.01}, warning={"a": 600, "b": 500}
    )
    assert {k: v.rules for k, v in raised.items()} == {"a": ("fall", "probability"), "b": ("warning",)}
    assert raised["b"].warning == 500
    assert watched.next({"a": 550, "b": 600}, probability=0.2, warning={"a": 490, "b": 490}) == {}
    more = {one.alert.enterprise: one.more for one in watched.book.standing()}
    assert more == {"a": (("2026-03", "warning"),), "b": (("2026-03", "probability"),)}


def test_a_score_that_trembles_about_a_threshold_is_told_once(watched):
    raised = [watched.next({"a": 500}, probability=p) for p in (0.12, 0.09, 0.11, 0.085, 0.1, 0.081, 0.2)]
    assert [len(r) for r in raised] == [1, 0, 0, 0, 0, 0, 0]


def test_after_a_recovery_that_lasted_the_next_event_is_told(watched):
    clear = 0.1 * BELOW - 0.001
    told = [len(watched.next({"a": 500}, probability=p)) for p in (0.12, clear, 0.12, clear, clear, 0.12)]
    assert told == [1, 0, 0, 0, 0, 1]
    assert watched.book.standing()[0].over == "2026-05"


def test_a_fall_has_to_be_made_up_by_half(watched):
    watched.next({"a": 600})
    assert len(watched.next({"a": 560})) == 1
    for _ in range(6):
        assert watched.next({"a": 579}) == {}
    # 60 points below the best of the last months, in the event that is there.
    assert watched.next({"a": 519}) == {}
    watched.next({"a": 580}), watched.next({"a": 580})
    assert watched.book.standing()[0].over is not None
    assert len(watched.next({"a": 540})) == 1


def test_months_without_a_score_say_nothing(watched):
    clear = 0.01
    watched.next({"a": 500}, probability=0.12)
    watched.next({"a": 500}, probability=clear)
    watched.next({"a": None})
    watched.next({"b": 500})
    assert watched.book.standing()[0].over is None
    watched.next({"a": 500}, probability=clear)
    assert watched.book.standing()[0].over == "2026-05"


def test_a_loan_that_stays_away_ends_its_event_and_a_later_one_is_told(watched):
    watched.next({"a": 500, "b": 500}, probability=0.12)
    watched.next({"a": None, "b": 500}, probability=0.12)
    watched.next({"b": 500}, probability=0.12)
    # Back after one month: the same event.
    assert watched.next({"a": 500, "b": 500}, probability=0.12) == {}
    watched.next({"b": 500}, probability=0.12)
    watched.next({"b": 500}, probability=0.12)
    assert {one.alert.enterprise: one.over for one in watched.book.standing()} == {"a": "2026-06", "b": None}
    assert list(watched.next({"a": 500, "b": 500}, probability=0.12)) == ["a"]


def test_a_month_without_the_warning_models_score_is_no_recovery(watched):
    watched.rules = Rules(fall=None, warning=500, recovery=2)
    watched.next({"a": 600, "b": 600}, warning={"a": 490, "b": 600})
    watched.next({"a": 600, "b": 600}, warning={"a": 600, "b": 600})
    watched.next({"a": 600, "b": 600}, warning={"a": None, "b": 600})
    assert watched.book.standing()[0].over is None
    watched.next({"a": 600, "b": 600}, warning={"a": 600, "b": 600})
    assert watched.book.standing()[0].over == "2026-04"


def test_two_banks_of_one_receiver_have_alerts_of_their_own():
    one, other = (alert_id(bank, "demo", "E1", Month(2026, 5)) for bank in ("alfa", "beta"))
    assert one != other and len(one) == 32


def test_scores_of_another_model_are_no_fall(watched):
    watched.next({"a": 600, "b": 600})
    assert list(watched.next({"a": 550, "b": 600})) == ["a"]
    assert watched.next({"a": 300, "b": 300}, model="f" * 16) == {}
    # Of the end of an event the other rules decide then.
    watched.next({"a": 300, "b": 300}, model="f" * 16)
    assert watched.book.standing()[0].over == "2026-04"
    assert list(watched.next({"a": 300, "b": 255}, model="f" * 16)) == ["b"]


def test_a_closed_alert_is_not_raised_again_but_a_further_fall_is(watched):
    watched.next({"a": 600})
    alert = watched.next({"a": 555})["a"]
    watched.close(alert)
    assert watched.next({"a": 550}) == {}
    assert watched.next({"a": 516}) == {}
    again = watched.next({"a": 510})["a"]
    assert (again.rules, again.month) == (("fall",), "2026-05")
    assert [one.over for one in watched.book.standing()] == ["2026-05", None]
    assert watched.next({"a": 505}) == {}
    with pytest.raises(ConfigError, match="closed already"):
        watched.close(alert)


def test_a_warning_score_has_to_be_well_above_its_threshold(watched):
    watched.rules = Rules(fall=None, warning=500, recovery=1)
    told = [
        len(watched.next({"a": 600}, warning={"a": w}))
        for w in (501, 500, 500 + ABOVE - 1, 500, 500 + ABOVE, 500)
    ]
    assert told == [0, 1, 0, 0, 0, 1]


def test_own_columns_in_another_bin_are_named(watched):
    use = Bins(Feature(institution="bank", column="use", low=0, high=9, missing=True), edges=(3.0, 6.0))
    term = Bins(Feature(institution="bank", column="term", low=0, high=9), edges=(5.0,))
    said = {b.feature.column: {"bins": b.to_dict(), "counts": [], "shares": []} for b in (use, term)}
    for month, codes in (("2026-01", ([0, 1], [0, 0])), ("2026-02", ([2, 1], [0, 1]))):
        table = pa.table({"id": ["a", "b"], "use": codes[0], "term": codes[1]})
        watched.kept.write_bins(Month.parse(month), table)
        watched.kept.write_own_columns(Month.parse(month), said)
    watched.next({"a": 600, "b": 600})
    raised = watched.next({"a": 500, "b": 500})
    assert [(m.column, m.was, m.now) for m in raised["a"].moved] == [
        ("use", use.labels()[0], use.labels()[2])
    ]
    assert [m.column for m in raised["b"].moved] == ["term"]


def test_the_same_month_once_more_brings_the_same_and_writes_nothing_twice(watched):
    watched.next({"a": 600})
    watched.next({"a": 500})
    lines = watched.book.path.read_bytes()
    january = watched.book.events(Month(2026, 1))
    found = new_alerts(watched.kept, Month(2026, 2), RULES, january, bank="alfa", watch="demo")
    assert len(found.alerts) == 1
    assert watched.book.add(Month(2026, 2), found, ["file"]) == []
    assert watched.book.path.read_bytes() == lines


def test_a_line_that_was_cut_off_is_written_again(watched):
    watched.next({"a": 600, "b": 600})
    watched.next({"a": 500, "b": 500})
    whole = watched.book.path.read_bytes()
    found = new_alerts(
        watched.kept, Month(2026, 2), RULES, watched.book.events(Month(2026, 1)), bank="alfa", watch="demo"
    )
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        watched.book.path.write_bytes(whole[:cut])
        watched.book.add(Month(2026, 2), found, ["file"])
        ids = [json.loads(line)["alert"]["id"] for line in watched.book.path.read_bytes().splitlines()]
        assert sorted(ids) == sorted(a.id for a in found.alerts)


def test_a_month_whose_events_are_gone_is_an_error(watched):
    watched.next({"a": 600})
    (watched.kept.folder / "events" / "2026-01.json").unlink()
    with pytest.raises(StoreError, match=r"2026-01\.json cannot be read"):
        watched.book.events(Month(2026, 1))


def test_an_alert_is_found_by_its_beginning(watched):
    watched.next({"a": 600})
    alert = watched.next({"a": 500})["a"]
    done = watched.book.act(alert.id[:6], "acknowledged", who="Officer", reason="", month=Month(2026, 2))
    assert (done.state, done.acts[0]["who"]) == ("acknowledged", "Officer")
    with pytest.raises(ConfigError, match="there is no alert"):
        watched.book.find("zzzz")
    with pytest.raises(ConfigError, match="there is no alert"):
        watched.book.find(alert.id[:3])
    assert watched.book.path.stat().st_mode & 0o777 == 0o600


def test_what_waits_for_a_sink(watched):
    watched.next({"a": 600, "b": 600})
    raised = watched.next({"a": 500, "b": 500})
    assert [a.enterprise for a in watched.book.waiting("file")] == ["a", "b"]
    assert watched.book.waiting("webhook") == []
    watched.book.delivered("file", [raised["a"]])
    assert [a.enterprise for a in watched.book.waiting("file")] == ["b"]


def test_an_alert_says_what_it_passed_and_whether_it_is_of_the_stock(watched):
    watched.rules = Rules(fall=40, probability=0.1, warning=500, warns="early", false_alarms=0.05)
    write(watched.kept, "2026-01", {"a": 600, "b": 500}, probability={"a": 0.2, "b": 0.01})
    january = Month(2026, 1)
    for first, stock in (((), [False, False]), (("probability",), [True, False])):
        found = new_alerts(watched.kept, january, watched.rules, {}, bank="alfa", watch="demo", first=first)
        assert [one.stock for one in found.alerts] == stock
    assert [one.limits for one in found.alerts] == [
        {"probability": 0.1},
        {"warning": 500, "warning_model": "early", "false_alarms": 0.05},
    ]
    # A record of an earlier version has neither.
    old = {k: v for k, v in found.alerts[0].to_dict().items() if k not in ("limits", "stock")}
    assert Alert.from_dict(old).limits == {} and not Alert.from_dict(old).stock


def test_what_a_sink_refused_waits_no_more_until_it_is_sent_again(watched):
    watched.next({"a": 600, "b": 600})
    a, b = watched.next({"a": 500, "b": 500}).values()
    watched.book.refused("file", a, "answered 422")
    watched.book.delivered("file", [b])
    assert watched.book.waiting("file") == []
    assert watched.book.deliveries() == {a.id: {"file": "answered 422"}, b.id: {"file": "taken"}}
    assert (watched.book.again(b.id), watched.book.again(a.id), watched.book.again(None)) == (0, 1, 0)
    assert watched.book.waiting("file") == [a]
    assert watched.book.deliveries()[a.id] == {"file": "waiting"}
    watched.book.refused("file", a, "answered 400")
    assert watched.book.again(None) == 1


LOANS = 8
STEP = st.tuples(
    st.one_of(st.none(), st.integers(440, 640)),
    st.sampled_from([0.001, 0.079, 0.085, 0.1, 0.3]),
    st.booleans(),
)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(STEP, min_size=LOANS, max_size=LOANS), min_size=2, max_size=8), st.integers(1, 3))
def test_never_two_alerts_in_one_event(tmp_path_factory, months, recovery):
    """Between two alerts lie so many months that were clear, or a person's closing and a further fall."""
    rules = Rules(fall=40, months=3, probability=0.1, recovery=recovery)
    watched = Watched(tmp_path_factory.mktemp("watch"), rules)
    told, clear, before = {}, dict.fromkeys(range(LOANS), 0), {k: [] for k in range(LOANS)}
    closed = set()
    for steps in months:
        scores = {str(k): s for k, (s, _, _) in enumerate(steps)}
        raised = watched.next(scores, probability={str(k): p for k, (_, p, _) in enumerate(steps)})
        for k, (score, probability, close) in enumerate(steps):
            alert, had = raised.get(str(k)), told.get(k)
            best = max([s for s in before[k][-3:] if s is not None], default=None)
            before[k].append(score)
            if score is None:
                assert alert is None
                continue
            sign = probability >= 0.1 or (best is not None and best - score >= 40)
            if alert is not None:
                assert sign
                assert had is None or clear[k] >= recovery or had.id in closed
                told[k], clear[k] = alert, 0
            else:
                clear[k] = 0 if sign or probability >= 0.08 else clear[k] + 1
                # A sign that belongs to no event is never passed over.
                assert not sign or had is not None
            if close and k in told and told[k].id not in closed:
                watched.close(told[k])
                closed.add(told[k].id)
