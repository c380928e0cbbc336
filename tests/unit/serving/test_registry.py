"""The life of a model at an institution: who decides what, what is checked, and what is answered afterwards."""

from datetime import UTC, date, datetime, timedelta

import pytest

from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError, FedriskError, PolicyError, ProtocolError
from fedrisk.serving import registry
from support.serving import MODEL, part_of

HOLDER = """
name = "{name}"
kind = "{kind}"
store = "{store}"

[table]
source = "table.csv"

[dictionary]
id = "id"
id_scheme = "opaque"
columns = [{{ name = "value", kind = "number", meaning = "m", low = 0, high = 9, bins = [1.0, 2.0] }}]
{label}
[policy]
{policy}

[policy.serving]
{serving}
"""

LABEL = '\n[dictionary.label]\ncolumn = "bad"\npositive = [1]\nnegative = [0]\nhorizon = "a year"\n'


@pytest.fixture
def institution(tmp_path):
    """Writes an institution's file; its rules can be written anew. The node behind it."""

    def write(name="tax", *, policy="", serving="", kind="holder"):
        file = tmp_path / f"{name}.toml"
        label = LABEL if kind == "bank" else ""
        text = HOLDER.format(
            name=name, kind=kind, store=tmp_path / name, policy=policy, serving=serving, label=label
        )
        file.write_text(text, encoding="utf-8")
        return Node.open(file)

    return write


def own(part):
    """The part follows from what was kept."""
    return part


def kinds(node):
    return [(e.kind, e.event) for e in node.trail.entries()]


def put(node, model=MODEL, **changes):
    made = {"made": datetime.now(UTC).date(), "model": model, **changes}
    if node.institution.kind == "holder":
        made = {"points": ((0, 5, 10, 15, 20), (0, 0)), "given": ((3, 8, 13, 18), (0, 5, 10, 15, 20))} | made
    return registry.candidate(node, part_of(node.name, ("tax", "power"), ("bank",), **made))


def unserved(node, asker="bank", model=MODEL):
    with pytest.raises(registry.Unserved) as error:
        registry.served(node, model, asker)
    return error.value.answer


def test_only_what_a_person_approved_is_answered_until_it_is_taken_back(institution):
    node = institution()
    put(node)
    assert unserved(node) == "approval"
    part, state = registry.approve(node, MODEL[:4], who="A. Officer", why="looked at", follows=own)
    assert (state.name, state.changes[-1].who, state.changes[-1].by) == ("approved", "A. Officer", "person")
    assert registry.served(node, MODEL, "bank") == part
    assert (unserved(node, "other"), unserved(node, model="ff" * 8)) == ("asker", "unknown")
    registry.retire(node, MODEL, who="B", why="refit")
    assert unserved(node) == "approval"
    assert kinds(node) == [("model_approved", "answer"), ("model_retired", "answer")]
    with pytest.raises(ConfigError, match="was retired by B on .* --again"):
        registry.approve(node, MODEL, who="A", follows=own)
    registry.approve(node, MODEL, who="A", follows=own, again=True)
    assert registry.served(node, MODEL, "bank")


def test_the_trail_says_neither_who_nor_why_and_its_digests_cannot_be_guessed(institution):
    node = institution()
    put(node)
    registry.approve(node, MODEL, who="A. Officer", why="secret reason", follows=own)
    text = node.trail_path.read_text()
    assert "Officer" not in text and "secret" not in text
    assert len(node.store.models.state(MODEL).changes[-1].salt) == 32


def test_what_the_institution_did_not_make_itself_is_not_approved(institution):
    node = institution()
    put(node)

    def lost(part):
        raise ProtocolError("the totals are gone")

    for follows, why in (
        (lambda p: p.model_copy(update={"points": ((1, 2, 3, 4, 5), (0, 0))}), "its points differ"),
        (
            lambda p: p.model_copy(update={"banks": ("bank", "other"), "given": None}),
            "its banks, given differ",
        ),
        (lost, "does not follow from what was kept of its study: the totals are gone"),
    ):
        with pytest.raises(PolicyError, match=why):
            registry.approve(node, MODEL, who="A", follows=follows)
    with pytest.raises(ConfigError, match="is of a study"):
        registry.approve(node, MODEL, who="A", follows=None)
    assert unserved(node) == "approval" and kinds(node) == []


@pytest.mark.parametrize(
    ("policy", "serving", "why", "code"),
    [
        ("score_points = 1", "", r"more than 1 points \(policy.score_points\)", "approval"),
        ("score_values = 16", "", r"up to 600 values, more than policy.score_values = 16", "approval"),
        ("", 'purposes = ["marketing"]', r"not among policy.serving.purposes", "purpose"),
        ('purposes = ["marketing"]', "", r"not among policy.purposes", "purpose"),
        ("valid_until = 2020-01-01", "", r"policy.valid_until was 2020-01-01", "approval"),
        ('counterparties = ["bank"]', "", r"power not among policy.counterparties", "asker"),
        ("", "models = 0", r"bank would be served with more than 0 models", None),
    ],
)
def test_what_the_policy_forbids_is_neither_approved_nor_answered(institution, policy, serving, why, code):
    """The policy of today: also of a model that was approved under another one."""
    node = institution()
    put(node, values=600 if "score_values" in policy else None)
    strict = institution(policy=policy, serving=serving)
    with pytest.raises(PolicyError, match=why):
        registry.approve(strict, MODEL, who="A", follows=own)
    if "score_values" in policy:
        node = institution(policy="score_values = 600")
    else:
        node = institution()
    registry.approve(node, MODEL, who="A", follows=own)
    strict = institution(policy=policy, serving=serving)
    if code is None:
        assert registry.served(strict, MODEL, "bank")
    else:
        assert unserved(strict) == code


def test_a_bank_is_served_with_so_many_models_at_once(institution):
    node = institution(serving="models = 2")
    for k in range(3):
        put(node, model=f"{k}" * 16)
    registry.approve(node, "0", who="A", follows=own)
    registry.approve(node, "1", who="A", follows=own)
    with pytest.raises(
        PolicyError, match=r"more than 2 models at once \(policy.serving.models\); retire one"
    ):
        registry.approve(node, "2", who="A", follows=own)
    registry.retire(node, "0", who="A")
    registry.approve(node, "2", who="A", follows=own)


def test_an_old_version_counts_as_one_more(institution):
    node = institution(policy="scored_versions = 0")
    put(node)
    registry.approve(node, MODEL, who="A", follows=own)
    node = institution(policy="scored_versions = 0\nscored_days = 10")
    put(node, model="cd" * 8, made=date(2020, 1, 1))
    with pytest.raises(PolicyError, match="more than 0 versions of scores within 10 days"):
        registry.approve(node, "cd", who="A", follows=own)


EDITED, LATER = "cd" * 8, "ef" * 8


def test_each_edit_that_served_counts_as_a_version(institution):
    """Also once it is retired: scores by one after the other would tell columns one by one."""
    node = institution(policy="scored_versions = 2\nscored_days = 30")
    for model, mark in ((EDITED, "a"), (LATER, "b")):
        put(node, model=model, edited=mark * 64)
        registry.approve(node, model, who="A", follows=own)
        registry.retire(node, model, who="A")
    put(node, model=MODEL, edited="c" * 64)
    with pytest.raises(PolicyError, match="more than 2 versions of scores within 30 days"):
        registry.approve(node, MODEL, who="A", follows=own)
    models, today = node.store.models, datetime.now(UTC).date()
    assert models.edits_served("bank", today - timedelta(days=1)) == 2
    assert models.edits_served("bank", today) == 0 and models.edits_served("city", date(2020, 1, 1)) == 0


def test_an_edit_is_shown_with_what_it_tells_beside_the_card_that_the_study_made(institution):
    """The bank has scores by that one from the study, whether or not anybody approved it."""
    node = institution()
    put(node)
    other = put(node, model=EDITED, edited="a" * 64, points=((0, 0, 0, 15, 20), (0, 0)))
    (why,) = registry.told_beside(node, other)
    assert MODEL in why and "tells at most: value 100%" in why
    assert registry.told_beside(node, node.store.models.part(MODEL)) == []
    registry.refuse(node, EDITED, who="A")
    assert EDITED in registry.told_beside(node, node.store.models.part(MODEL))[0]
    same = put(node, model=LATER, edited="b" * 64)
    assert not any(f"card of model {MODEL}" in line for line in registry.told_beside(node, same))


def test_no_rule_approves_a_model_of_other_holders_beside_one_that_serves_the_bank(institution):
    """The same card without one holder: both scores together are that holder's points."""
    node = institution(serving='approve = "own_parts"\nmodels = 2')
    put(node)
    assert registry.served(node, MODEL, "bank").model == MODEL
    other = part_of(
        "tax", ("tax", "power", "court"), ("bank",), model="ef" * 8, made=datetime.now(UTC).date()
    )
    registry.candidate(node, other)
    assert node.store.models.state(other.model).name == "candidate"
    (why,) = registry.told_beside(node, other)
    assert "differs by court" in why and MODEL in why
    registry.retire(node, MODEL, who="A. Officer")
    assert registry.told_beside(node, other) == []


def test_own_parts_are_approved_by_rule_once_and_not_where_a_check_fails(institution):
    node = institution(serving='approve = "own_parts"\nmodels = 1')
    put(node)
    (change,) = node.store.models.state(MODEL).changes
    assert (change.state, change.by, change.who) == ("approved", "rule", "own_parts")
    assert kinds(node) == [("model_approved_by_rule", "answer")]
    put(node)
    put(node, model="cd" * 8)
    assert node.store.models.state("cd" * 8).name == "candidate"
    registry.retire(node, MODEL, who="A")
    put(node)
    assert node.store.models.state(MODEL).name == "retired"


def test_what_a_card_gives_away_by_its_form_is_for_a_person(institution):
    node = institution(serving='approve = "own_parts"')
    put(node, readable=(0.8, 0.0))
    assert node.store.models.state(MODEL).name == "candidate"
    (why,) = registry.told_by_form(node.store.models.part(MODEL))
    assert "gives away value" in why
    registry.approve(node, MODEL, who="A", follows=own)
    put(node, model="cd" * 8, readable=(0.5, 0.0))
    assert node.store.models.state("cd" * 8).name == "approved"


def test_no_rule_goes_on_after_a_person_refused_until_a_person_does(institution):
    node = institution(serving='approve = "own_parts"\nmodels = 9')
    by_hand = institution(serving='approve = "by_hand"')
    put(by_hand)
    registry.refuse(by_hand, MODEL, who="A", why="no")
    assert unserved(by_hand) == "approval"
    node = institution(serving='approve = "own_parts"\nmodels = 9')
    put(node, model="cd" * 8)
    put(node, model="ef" * 8, name="another")
    states = {m: node.store.models.state(m).name for m in node.store.models.ids()}
    assert states == {MODEL: "refused", "cd" * 8: "candidate", "ef" * 8: "approved"}
    registry.approve(node, "cd", who="A", follows=own)
    put(node, model="12" * 8)
    assert node.store.models.state("12" * 8).name == "approved"


def test_one_champion_of_a_name_and_product(institution):
    node = institution("bank", kind="bank")
    for k in range(3):
        put(node, model=f"{k}" * 16)
    with pytest.raises(PolicyError, match=r"is candidate at bank; fedrisk model approve"):
        registry.deploy(node, "0", as_="champion", who="A")
    for k in range(3):
        registry.approve(node, f"{k}", who="A", follows=own)
    registry.deploy(node, "0", as_="champion", who="A")
    registry.deploy(node, "1", as_="challenger", who="A")
    _, state, former = registry.deploy(node, "1", as_="champion", who="A")
    assert (former.model, state.as_) == ("0" * 16, "champion")
    assert node.store.models.state("0" * 16).as_ == "challenger"
    registry.deploy(node, "2", as_="champion", product="green", who="A")

    def used(product=""):
        return {k: [p.model[0] for p in v] for k, v in registry.in_use(node, product).items()}

    assert used() == {"champion": ["1"], "challenger": ["0"]}
    assert used("green") == {"champion": ["2"], "challenger": ["0"]}
    registry.retire(node, "2", who="A")
    assert used("green") == used()


def test_a_holder_deploys_nothing(institution):
    node = institution()
    put(node)
    registry.approve(node, MODEL, who="A", follows=own)
    with pytest.raises(ConfigError, match="tax is no bank"):
        registry.deploy(node, MODEL, as_="champion", who="A")


def test_what_cannot_be_entered_in_the_trail_does_not_hold(institution, monkeypatch):
    node = institution()
    put(node)

    class Broken:
        def append(self, drafts):
            raise FedriskError("disk full")

    monkeypatch.setattr(Node, "trail", Broken())
    with pytest.raises(FedriskError, match="disk full"):
        registry.approve(node, MODEL, who="A", follows=own)
    assert node.store.models.state(MODEL).name == "candidate"
