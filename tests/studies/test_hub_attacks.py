"""The attacks of and around the hub, played as `fedrisk attack --quick` does: all held, and all controls succeed."""

import pytest

from fedrisk.attacks import dealing_hub, linkage, lying_hub, side_channels
from fedrisk.attacks.attack import Effort
from fedrisk.attacks.hub_lies import LIES
from fedrisk.attacks.lying_hub import got_through
from fedrisk.errors import PeerError
from support.long import sampled

pytestmark = pytest.mark.study
QUICK = Effort(quick=True)


@pytest.mark.parametrize("lie", sampled(LIES, 6), ids=lambda lie: lie.code)
def test_a_lie_is_refused_where_it_is_told_and_for_what_it_is(kit, tmp_path, lie):
    consortium = kit.build(tmp_path, lie.banks, lie.holders, enterprises=900)
    with pytest.raises(PeerError) as caught:
        consortium.run(change=lie.tell(consortium), wire=False)
    assert any(f"({code})" in str(caught.value) for code in lie.codes)
    assert consortium.last.steps[-1].action in (lie.at or {"blind", "evaluate", "pseudonyms"})


def test_a_hub_that_does_not_lie_gets_through(kit, tmp_path):
    from dataclasses import replace

    nothing = replace(LIES[0], tell=lambda consortium: lambda run, step: None)
    assert got_through(kit.build(tmp_path, enterprises=700), nothing)


@pytest.mark.long
@pytest.mark.parametrize("attack", [dealing_hub, lying_hub, linkage, side_channels], ids=lambda m: m.NAME)
def test_an_attack_holds_and_its_controls_succeed(tmp_path, attack):
    figures = list(attack.ATTACK.run(tmp_path, QUICK))
    assert {f.verdict for f in figures} == {"held", "control succeeded"}, [
        (f.target, f.control, f.value) for f in figures if f.verdict in ("broken", "control failed")
    ]


def test_linkage_holds(tmp_path):
    """A sample of the above: lists and points, each beside its control."""
    found = list(linkage._blinded(tmp_path))
    assert [f.verdict for f in found] == ["held", "control succeeded"]
