"""Exchange 1, describe: an institution looks at a study and its own table, and agrees or refuses.

Everything that can be refused early is refused here, before a single number is computed for others: the
study's rules against the policy, the table against the dictionary, the price against the ledger.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from fedrisk.clients import out_of_time
from fedrisk.clients.approvals import approval_for, use
from fedrisk.clients.attempt import Agreement, Attempt
from fedrisk.clients.books import settle_books
from fedrisk.clients.evaluation import ROOM, room_for
from fedrisk.clients.evaluation_key import own_statement
from fedrisk.clients.label_rate import check_rate
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import Charges
from fedrisk.clients.roster import refuse_strangers, roster_of
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.clients.witness import refuse_marked, stated_heads
from fedrisk.data.column import Column
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.features import Feature, features_of, statistic_of, to_stated
from fedrisk.data.table import Table
from fedrisk.errors import ConfigError, DataError, PolicyError, ProtocolError, VersionError
from fedrisk.privacy.accounting import check_epsilon_delta
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.plain import epsilon_down
from fedrisk.privacy.spend import Spend, total
from fedrisk.protocol.form import AttemptId, Body, Name, OfAttempt, Seed
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import LabelFacts, Statement
from fedrisk.protocol.versions import Spoken
from fedrisk.recipe import Brought, Recipe
from fedrisk.releases.axes import axis_of
from fedrisk.releases.plan import Plan
from fedrisk.secure.identity import EphemeralKey
from fedrisk.study import Study
from fedrisk.study_members import BANK, Role


class Described(Body):
    """A study, as it is described to every node there is."""

    attempt: AttemptId
    study: dict[str, Any]
    research_seed: Seed | None


Find = Callable[[Mapping[str, Any]], tuple[Study, Recipe]]
"""Content of a study -> the study, checked by its recipe, and the recipe."""


def describe(node: Node, request: Payload, *, find: Find) -> Payload:
    """study, attempt, research seed -> name, signed ephemeral key, what it states to all members, budget left.

    A node that is no member of the study says so and does nothing. One whose part in the attempt is over says what it
    agreed to, so that a hub that goes on after a stop can ask for its last answer once more. Where the hub is on
    another machine, the study has to be approved here.
    """
    study, recipe = find(request.get("study"))
    if node.name not in study.members:
        return Payload({"name": node.name, "member": False})
    _check_stated(request.get("study"), study)
    research_seed = request.get("research_seed")
    if research_seed is not None and not isinstance(research_seed, int):
        raise ProtocolError("the research seed is no whole number; the hub runs another version of fedrisk")
    attempt_id = str(request.get("attempt"))
    begun = Begun(study=study.model_dump(mode="json"), research_seed=research_seed)
    node = node.about(study.label)
    before = _agreed_and_over(node, attempt_id, begun)
    if before is not None:
        return before
    approval = approval_for(node, study, research_seed, attempt_id, find=find)
    for rule in rules_of_study(study, recipe, node, settle_books, research=research_seed is not None):
        rule()
    role = study.role_of(node.name)
    use(node, approval, attempt_id)
    attempt = Attempt(node, node.store.begin(attempt_id, begun))
    body: dict[str, Any] = {"name": node.name, "member": True, **Spoken.here().to_dict()}
    table, brought = None, Brought()
    if not study.has_table(node.name):
        statement = Statement(role=role, evaluation_key=evaluation_key(attempt, recipe))
    else:
        brought = recipe.brings(node, study, research_seed)
        table = attempt.read()
        for rule in rules_of_table(study, recipe, node, table, research_seed):
            rule()
        plan = recipe.plan(study, brought.features)
        check_budget(attempt, plan)
        labelled = labelled_rows(study, recipe, node, table)
        key = evaluation_key(attempt, recipe)
        statement = statement_of(study, node, len(table), labelled, brought, key)
        body |= _for_report(attempt, plan)
    stated = statement.model_copy(update={"roster": roster_of(node, study)}).model_dump(mode="json")
    agreement = Agreement(
        table=None if table is None else table.digest,
        features=brought.features,
        remembered=dict(brought.remembered),
        key=_ephemeral(attempt),
        statement=stated,
    )
    agreed = attempt.state.find(Agreement)
    if agreed is None:
        attempt.state.save(agreement)
    elif (agreed.features, agreed.statement) != (agreement.features, agreement.statement):
        raise ProtocolError(
            f"the columns, rows or policy of {node.name} changed since it agreed to this attempt; run the study again"
        )
    body["statement"] = stated
    body["key"] = agreement.key
    body |= stated_heads(attempt)
    return Payload(body)


def _agreed_and_over(node: Node, attempt: str, begun: Begun) -> Payload | None:
    """What was agreed in an attempt in which this institution's part is over; None where it is not, or is another."""
    if not node.store.knows(attempt):
        return None
    state = node.store.attempt(attempt)
    agreed = state.find(Agreement)
    if not state.over or agreed is None or state.load(Begun) != begun:
        return None
    return Payload({"name": node.name, "member": True, "statement": agreed.statement, "key": agreed.key})


class Closed(OfAttempt):
    """The end of an attempt, and why, where a holder has hardly an enterprise in common with the banks."""

    little_in_common: Annotated[list[Name], Field(max_length=100)] = Field(default_factory=list)


def close(node: Node, request: Payload) -> Payload:
    """The study ended, well or not: secrets of the attempt are deleted. Nothing to do where it never began here.

    What the hub says of enterprises in common is kept in the institution's own log, as the hub's word.
    """
    attempt = str(request.get("attempt"))
    if node.store.knows(attempt):
        members = Attempt(node, node.store.attempt(attempt)).study.members
        little = [name for name in request.body.get("little_in_common") or () if name in members]
        if little:
            said = DataError(
                f"the hub stopped the study before anything was charged: {', '.join(little)} has hardly any "
                "enterprise in common with the banks. Compare id schemes with each other, and how ids are spelt"
            )
            node.store.errors.add(attempt, "close", said)
        node.store.attempt(attempt).forget_secrets()
        node.store.attempt(attempt).drop_answer()
    return Payload()


Rule = Callable[[], object]
"""One thing that an institution looks at; raises a FedriskError where it refuses."""


def _check_stated(content: Mapping[str, Any], study: Study) -> None:
    """VersionError where the hub states a study in an earlier format than it has to be in (Recipe.format)."""
    if content.get("format", 1) < study.format:
        raise VersionError(
            f"study {study.name} has to be stated in format {study.format}, and the hub states it in an earlier one, "
            "in which some members would add too little noise: fedrisk at the hub has to be upgraded. Ask the "
            "consortium's operator"
        )


def rules_of_study(
    study: Study, recipe: Recipe, node: Node, books: Callable[[Node], object], *, research: bool
) -> Iterator[Rule]:
    """What is looked at before a table is read, in this order; ``fedrisk check`` goes through the same rules.

    books: looks at trail and ledger (clients/books): to agree they are settled, to look they are left as they are.
    """
    yield lambda: check_role(study, node)
    yield recipe.require
    yield lambda: refuse_strangers(node, study)
    yield lambda: node.institution.policy.check(study, institution=node.name, research=research)
    yield lambda: refuse_marked(node, study)
    yield lambda: books(node)
    yield node.store.pseudonyms.check_readable
    yield lambda: out_of_time.check_boundary(node, study, research=research)
    yield node.store.can_keep_results


def rules_of_table(
    study: Study, recipe: Recipe, node: Node, table: Table, research_seed: int | None
) -> Iterator[Rule]:
    """Whether a checked table fits the study, what later exchanges would refuse included."""
    yield lambda: _check_rows(study, recipe, node, table)
    yield lambda: node.store.has_room(room_for(len(table)) if node.name in study.banks else ROOM >> 2)
    yield lambda: check_epsilon_delta(study.privacy.epsilon, study.privacy.delta, len(table))
    yield lambda: _check_dates(study, node, table)
    if recipe.labels and node.name in study.banks:
        yield lambda: check_label(study, node)
        yield lambda: out_of_time.check_sides(study, node, table)
        yield lambda: check_labels(study, node, table)
        yield lambda: check_rate(study, node, table)
    yield lambda: recipe.beforehand(node, study, table, research_seed)


def statement_of(
    study: Study,
    node: Node,
    rows: int,
    labelled: int | None,
    brought: Brought,
    evaluation_key: str | None,
) -> Statement:
    """What the institution states to all members: public facts from which every member makes the same plan.

    ConfigError where a dictionary holds more than a statement may.
    """
    policy, label = node.institution.policy, described(node).label
    own = {f.column for f in brought.features}
    try:
        facts = None
        if label is not None:
            facts = LabelFacts(
                name=label.name,
                horizon=label.horizon,
                meaning=label.meaning,
                meaning_zh=label.meaning_zh,
                selection=label.selection,
                weighted=label.weight is not None,
                binary=bool(label.positive) and label.weight is None,
            )
        return Statement(
            role=study.role_of(node.name),
            rows=rows,
            labelled=labelled,
            least_rows=policy.least_rows,
            features=json.loads(json.dumps([to_stated(f) for f in brought.features])),
            computed={n: r for n, r in described(node).computed.items() if n in own},
            groups=json.loads(json.dumps([to_stated(f) for f in group_columns(study, node)])),
            label=facts,
            scores=policy.scores,
            score_values=policy.score_values,
            evaluation=policy.evaluation,
            evaluation_key=evaluation_key,
            **json.loads(json.dumps(dict(brought.stated))),
        )
    except ValidationError as error:
        keys = {".".join(map(str, item["loc"])) for item in error.errors(include_url=False)}
        raise ConfigError(
            f"{node.name}: its dictionary says more than a statement to other members may hold "
            f"({', '.join(sorted(keys))}); shorten it"
        ) from None


def group_columns(study: Study, node: Node) -> tuple[Feature, ...]:
    """A bank's columns by which its hold-out is counted, with their public levels; ConfigError where they have none."""
    if node.name not in study.banks:
        return ()
    dictionary = described(node)
    found = tuple(statistic_of(dictionary.column(name), BANK) for name in study.evaluation.groups)
    for feature in found:
        axis_of(feature.column, f"{node.name}.{feature.column}", feature, key="evaluation.groups")
    return found


def labelled_rows(study: Study, recipe: Recipe, node: Node, table: Table) -> int | None:
    """How many rows have a label, at a bank; None where labels do not matter."""
    return int(table.labelled.sum()) if recipe.labels and node.name in study.banks else None


def evaluation_key(attempt: Attempt, recipe: Recipe) -> str | None:
    """Public key of the pseudonyms' evaluations, at the key authority of a study with pseudonyms."""
    wanted = attempt.name == attempt.study.authority and recipe.aligned(attempt.study)
    return own_statement(attempt) if wanted else None


def _for_report(attempt: Attempt, plan: Plan) -> dict[str, Any]:
    """What the hub shows in the report besides: meanings of columns, and the budget left."""
    node = attempt.node
    columns = [c for c in described(node).columns if c.feature]
    return {
        "meanings": {c.name: _meaning(c) for c in columns},
        "budget_left": _left(attempt, plan),
    }


def _meaning(column: Column) -> dict[str, str]:
    """What the report says of a column: meaning and unit, in Chinese too where the dictionary has it."""
    chinese = {"meaning_zh": column.meaning_zh} if column.meaning_zh else {}
    return {"meaning": column.meaning, "unit": column.unit, **chinese}


def _left(attempt: Attempt, plan: Plan) -> dict[str, float]:
    """Epsilon left at the study's delta, before the study and after it, where the whole of it is charged.

    Rounded down to tenths: the last digits would tell which other studies the institution was in. What is left after
    the study is what the next one is told anyway.
    """
    delta = attempt.study.privacy.delta
    paid = total(Spend.from_dict(s) for s in (attempt.state.find(Charges) or Charges()).spends.values())
    # A training that goes on after a stop has paid its part already.
    before = attempt.node.ledger.left() if attempt.research else math.hypot(attempt.node.ledger.left(), paid)
    price = 0.0 if attempt.research else min(plan.price[attempt.name], before)
    after = math.sqrt(max(0.0, (before - price) * (before + price)))
    return {"before": epsilon_down(before, delta, 1), "after": epsilon_down(after, delta, 1)}


def described(node: Node) -> Dictionary:
    """The institution's dictionary with the columns of trained encoders; ConfigError where it has none."""
    dictionary = node.institution.described()
    if dictionary is None:
        raise ConfigError(f"institution {node.name} has no [dictionary]; add it to its file")
    return dictionary


def allowed_features(node: Node, dictionary: Dictionary) -> tuple[Feature, ...]:
    """The dictionary's features that the policy lets studies use; ConfigError where it names others."""
    institution = node.institution
    features = features_of(dictionary, BANK if institution.kind == "bank" else node.name)
    columns = institution.policy.columns
    if columns is None:
        return features
    to_come = {column for e in institution.encoders for column in e.columns}
    unknown = sorted(set(columns) - {f.column for f in features} - to_come)
    if unknown:
        raise ConfigError(
            f"{node.name}: policy.columns names {', '.join(unknown)}, which are no features of the dictionary"
        )
    return tuple(f for f in features if f.column in columns)


def check_role(study: Study, node: Node) -> Role:
    """The node's role in the study; ConfigError where its own file says another."""
    role, kind = study.role_of(node.name), node.institution.kind
    if kind != role:
        raise ConfigError(
            f"study {study.name} calls {node.name} a {role}, its own file says {kind}; agree on one"
        )
    return role


def check_label(study: Study, node: Node) -> None:
    """ConfigError at a bank whose label is not the one that the study is about, or means something else."""
    label = described(node).label
    if label is None:
        return
    if label.name != study.label_name:
        said = f'label = "{study.label}"' if study.label else "no label, which means the one called default"
        raise ConfigError(
            f'{node.name}: study {study.name} names {said}, and the dictionary has "{label.name}"; name that one in '
            "the study, or add the other under [[dictionary.labels]]"
        )
    stated = study.outcome.model_dump()
    differ = [key for key, said in stated.items() if said and said != getattr(label, key)]
    if differ:
        raise ConfigError(
            f'{node.name}: study {study.name} says of label "{label.name}" another {" and ".join(differ)} ([outcome]) '
            "than the dictionary; it may be about something else. Agree on the words, and write them alike"
        )


def check_labels(study: Study, node: Node, table: Table) -> None:
    """DataError at a bank without labels, or with none on one side of a hold-out by date."""
    if table.label is None:
        raise DataError(f"{node.name} is a bank and has no label; name it in [dictionary.label]")
    late = out_of_time.held(study, node.institution.dictionary, table)
    if late is None:
        return
    for side, what in ((~late, "before"), (late, "on or after")):
        needed = side is not late or node.institution.policy.evaluation
        if needed and side.any() and not table.labelled[side].any():
            verb = "evaluate" if side is late else "train"
            raise DataError(
                f"{node.name}: no row with a date {what} holdout.from_date = {study.holdout.from_date} has a label, so "
                f"there is nothing to {verb} on; choose another date, with outcomes on both sides of it"
            )


def _check_rows(study: Study, recipe: Recipe, node: Node, table: Table) -> None:
    """Enough rows, at a bank with a label where labels matter."""
    least = node.institution.policy.least_rows
    there, what = len(table), "usable rows"
    if recipe.labels and node.name in study.banks:
        there, what = int(table.labelled.sum()), "usable rows with a label"
    if there < least:
        raise PolicyError(
            f"{node.name}: {there} {what}, and policy.least_rows is {least}; "
            "wait for more, or change the policy"
        )


def _check_dates(study: Study, node: Node, table: Table) -> None:
    """Dates where the study goes by them, within its windows."""
    dictionary = node.institution.dictionary
    if dictionary is None or dictionary.as_of is None:
        if study.windows.as_of is not None or out_of_time.asked(study, node.name):
            raise ConfigError(
                f"{node.name}: the study goes by dates and the dictionary names no as_of column; "
                "add dictionary.as_of, or take the dates out of the study"
            )
        return
    dates = table.frame[dictionary.as_of]
    if dates.isna().any():
        raise DataError(
            f"{node.name}: column {dictionary.as_of} (as_of) is missing in {int(dates.isna().sum())} rows; "
            "fill it in or leave these rows out"
        )
    window = study.windows
    for bound, late in ((window.as_of, True), (window.observation_start, False)):
        if bound is None:
            continue
        days = dates.dt.date
        wrong = int((days > bound if late else days < bound).sum())
        if wrong:
            raise DataError(
                f"{node.name}: column {dictionary.as_of} is {'after' if late else 'before'} the study's window "
                f"({bound}) in {wrong} rows; cut the table to the window, so that no later knowledge enters"
            )


def check_budget(attempt: Attempt, plan: Plan) -> None:
    """Whether the ledger would hold the whole study; the releases are debited one by one when they come."""
    study = attempt.study
    if attempt.research or attempt.state.find(Charges) is not None:
        # A training that goes on after a stop has paid its part already.
        return
    fits_budget(attempt.node.ledger, study, plan, attempt.name, attempt.state.id)


def fits_budget(ledger: Ledger, study: Study, plan: Plan, name: str, attempt: str) -> None:
    """Whether a ledger would hold the whole study; BudgetError names the cap that does not suffice."""
    mu = plan.price[name]
    if not math.isfinite(mu):
        raise PolicyError("privacy.epsilon = inf has no price in mu; it is for research runs only")
    ledger.reserve_check(
        [
            Spend(
                study=study.name,
                attempt=attempt,
                release="study",
                population="training",
                mu=mu,
                delta=study.privacy.delta,
                what="whole study",
                institution=name,
                counterparty="hub",
                research=False,
            )
        ],
        purpose=study.purpose,
    )


def _ephemeral(attempt: Attempt) -> dict[str, Any]:
    """The attempt's X25519 key, signed by the institution's identity key; the same one if asked again."""
    agreed = attempt.state.find(Agreement)
    if agreed is not None:
        return agreed.key
    key, signed = EphemeralKey.generate(
        attempt.node.store.identity, attempt.name, attempt.study.digest(), attempt.state.id
    )
    attempt.state.put_secret("ephemeral", key.to_bytes())
    return signed.to_dict()
