"""One institution, one store: what reading leaves alone, whom a store belongs to, and what the key authority counts."""

import inspect
import json
import shutil
from pathlib import Path

import pytest
import typer

from fedrisk import cli
from fedrisk.engine.in_process import load_nodes, run_local
from fedrisk.errors import DataError, EnvelopeError, OwnerError, PeerError
from fedrisk.server.hub import Hub
from support.long import sampled

pytestmark = pytest.mark.study

ACTS = {
    *("budget grant", "budget restore", "audit answer", "run", "node init"),
    *("watch columns", "model hand-out"),
}
"""Commands that may make a store, or a file elsewhere; every other one that takes an institution's file reads."""


def commands(app, before=""):
    """(words, function) of every command of the program."""
    for command in app.registered_commands:
        yield f"{before}{command.name or command.callback.__name__.replace('_', '-')}", command.callback
    for group in app.registered_groups:
        yield from commands(group.typer_instance, f"{group.name} ")


def reading():
    """Every command that reads an institution's file, with what it needs besides."""
    found = {}
    for words, function in commands(cli.app):
        parameters = inspect.signature(function).parameters
        needed = [name for name in parameters if parameters[name].default is inspect.Parameter.empty]
        if words not in ACTS and {"institution", "institutions", "study_file"} & set(needed):
            found[words] = needed
    return found


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.mark.parametrize("words", sampled(sorted(reading()), 3))
def test_reading_makes_nothing(fedrisk, consortium, fedrisk_home, tmp_path, words):
    """Also where it stops because there is nothing yet, and at each kind of institution."""
    values = {
        "study_file": consortium.study_file,
        "peer": "tax",
        "name": "bank",
        "to": tmp_path / "exported",
        "folder": tmp_path / "exported",
    }
    for file in consortium.paths.values():
        required = [
            str(values.get(name, file)) if name not in ("to",) else f"--to={values[name]}"
            for name in reading()[words]
        ]
        code, out, err = fedrisk(*words.split(), *required)
        assert code != 2, (out, err)  # called as it has to be
        assert "Traceback" not in out + err
    assert not fedrisk_home.exists()


@pytest.mark.parametrize("words", ["budget show", "audit show", "meter", "quota"])
def test_where_nothing_is_yet_it_says_so(fedrisk, consortium, words):
    code, _, err = fedrisk(*words.split(), consortium.paths["tax"])
    assert code == 0
    assert "nothing here yet: no study has run at tax" in err
    code, out, _ = fedrisk("budget", consortium.paths["tax"], "--json")
    assert json.loads(out)["entries"] == 0


@pytest.mark.parametrize("words", ["audit verify", "audit export --to=exported"])
def test_there_is_nothing_to_verify_yet(fedrisk, consortium, words):
    """A trail that is not there is never found good."""
    first, second, *more = words.split()
    code, _, err = fedrisk(first, second, consortium.paths["tax"], *more)
    assert code not in (0, 2)
    assert "error (store)" in err


@pytest.mark.long
def test_a_grant_before_the_first_study_stays(fedrisk, consortium):
    acts = ("--epsilon", "1", "--reason", "r", "--who", "w")
    assert fedrisk("budget", "grant", consortium.paths["tax"], *acts)[0] == 0
    run_local(consortium.study(), consortium.paths)
    assert load_nodes(consortium.paths)["tax"].ledger.report().granted.mu > 0


def test_reading_a_used_store_changes_no_key_and_no_account(fedrisk, consortium, fedrisk_home):
    run_local(consortium.study(), consortium.paths)
    before = tree(fedrisk_home)
    for words in ("budget show", "audit show", "audit verify", "meter", "store show"):
        assert fedrisk(*words.split(), consortium.paths["tax"])[0] == 0
    assert fedrisk("check", consortium.study_file)[0] == 0
    assert [p for p in tree(fedrisk_home) if p not in before] == []


@pytest.fixture
def two(write_consortium, tmp_path):
    """Two consortia with institutions of the same names, in two folders."""
    first = write_consortium()
    shutil.copytree(first.folder, tmp_path / "other")
    return first, type(first)(tmp_path / "other")


@pytest.mark.long
def test_two_consortia_under_one_home_do_not_share_stores(two, fedrisk, fedrisk_home):
    first, second = two
    run_local(first.study(), first.paths)
    before = {n: node.ledger.spent() for n, node in load_nodes(first.paths).items()}
    with pytest.raises(OwnerError) as caught:
        run_local(second.study(), second.paths)
    text = str(caught.value)
    for name in first.paths:
        assert str(first.paths[name]) in text
        assert str(second.paths[name]) in text
    assert "fedrisk store adopt " in text
    code, _, err = fedrisk("check", second.study_file)
    assert code not in (0, 2)
    assert "FEDRISK_HOME" in err
    for words in ("budget show", "audit show", "meter", "audit verify"):
        code, out, err = fedrisk(*words.split(), second.paths["tax"])
        assert code not in (0, 2)
        assert out == ""
        assert "belongs to tax (holder)" in err
    assert {n: node.ledger.spent() for n, node in load_nodes(first.paths).items()} == before


def test_a_renamed_folder_goes_on_after_it_was_adopted(two, fedrisk):
    first, _ = two
    run_local(first.study(), first.paths)
    spent = load_nodes(first.paths)["bank"].ledger.spent()
    moved = type(first)(first.folder.rename(first.folder.with_name("renamed")))
    with pytest.raises(OwnerError):
        load_nodes(moved.paths)
    code, out, _ = fedrisk("store", "adopt", *moved.paths.values(), "--reason", "folder renamed")
    assert code == 0
    assert out.count("ledger, quota, keys and pseudonyms go on") == 3
    assert load_nodes(moved.paths)["bank"].ledger.spent() == spent
    code, out, _ = fedrisk("store", moved.paths["bank"])
    assert "folder renamed" in out
    run_local(moved.study(), moved.paths)
    debited = [e.kind for e in load_nodes(moved.paths)["tax"].store.authority.quota.events()]
    assert debited.count("debited") == 2  # bank and power, in the first study alone


def test_a_store_of_its_own_keeps_two_apart_and_the_hub_says_whose_key_differs(two, tmp_path):
    first, second = two
    run_local(first.study(), first.paths)
    for name, path in second.paths.items():
        path.write_text(f'store = "../stores/{name}"\n' + path.read_text())
    with pytest.raises(
        EnvelopeError, match=r"key of bank, power, tax is not .*Another consortium .* FEDRISK_HOME"
    ):
        run_local(second.study(), second.paths)
    run_local(second.study(), second.paths, hub=Hub(tmp_path / "second_hub"))
    assert (second.folder / "stores" / "tax" / "ledger.sqlite").exists()


@pytest.mark.parametrize(
    "text", ["~/vault/tax", "${VAULT}/tax", "../vault/tax", "../vault/./tax/", "../link/tax"]
)
def test_every_spelling_of_a_store_is_one_store(consortium, tmp_path, monkeypatch, text):
    monkeypatch.setenv("HOME", str(consortium.folder))
    monkeypatch.setenv("VAULT", str(consortium.folder / "vault"))
    (consortium.folder / "vault").mkdir()
    (consortium.folder / "link").symlink_to(consortium.folder / "vault")
    path = consortium.paths["tax"]
    path.write_text(f'store = "{text}"\n' + path.read_text())
    for folder in (tmp_path, consortium.folder):
        monkeypatch.chdir(folder)
        assert load_nodes(consortium.paths)["tax"].store.path == consortium.folder / "vault" / "tax"


@pytest.mark.long
def test_a_relative_home_from_two_folders_is_one_ledger(consortium, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("FEDRISK_HOME", "stores")
    spent = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        with pytest.warns(UserWarning, match="relative path"):
            run_local(consortium.study(), consortium.paths)
        with pytest.warns(UserWarning, match="relative path"):
            spent.append(load_nodes(consortium.paths)["bank"].ledger.spent())
    assert spent[1] == pytest.approx(spent[0] * 2**0.5)
    assert not list((tmp_path / "a").iterdir())
    assert not list((tmp_path / "b").iterdir())


# --- the key authority's quota ------------------------------------------------------------------------------


def other_ids(consortium, name, letter="X"):
    """A list in which every id is another one, as of a wrong column."""
    path = consortium.folder / "data" / f"{name}.csv"
    text = path.read_text()
    path.write_text(text.replace("enterprise-", f"{letter}-"))
    return lambda: path.write_text(text)


@pytest.mark.long
def test_research_runs_use_nothing_of_the_quota(consortium):
    """Their key follows from the study, so that there is nothing to protect; a list of other ids is taken each time."""
    for letter in "ABC":
        back = [other_ids(consortium, name, letter) for name in consortium.paths]
        run_local(consortium.study(), consortium.paths, research_seed=1)
        for restore in back:
            restore()
    tax = load_nodes(consortium.paths)["tax"].store
    assert not (tax.path / "quota.sqlite").exists()
    run_local(consortium.study(), consortium.paths)
    assert [e.count for e in tax.authority.quota.events() if e.kind == "debited"] == [400, 314]


@pytest.mark.long
def test_a_research_run_says_nothing_about_the_pseudonyms_of_the_epoch(consortium):
    """What it evaluates without a count is under another key than the one that is counted."""
    from fedrisk.alignment import oprf

    run_local(consortium.study(), consortium.paths, research_seed=1)
    tax, bank = (load_nodes(consortium.paths)[name].store for name in ("tax", "bank"))
    assert not (tax.path / "epochs").exists()  # the epoch's key was not even made
    run_local(consortium.study(), consortium.paths)
    real, research = "tax@1@voprf", f"research@{consortium.study().holdout.seed}@tax@1@voprf"
    ids = load_nodes(consortium.paths)["bank"].institution.read().ids[:20]
    (of_real, _), (of_research, _) = (bank.pseudonyms.of(tag, ids) for tag in (real, research))
    assert not (of_real == of_research).all(axis=1).any()
    assert oprf.pseudonyms([i.encode() for i in ids], tax.authority.key("1")).tobytes() == of_real.tobytes()


def test_a_wrong_list_that_used_the_quota_up_is_told_with_the_command_that_helps(consortium, fedrisk):
    back = other_ids(consortium, "power")
    with pytest.raises(DataError, match="no enterprise in common"):
        run_local(consortium.study(), consortium.paths)
    back()
    with pytest.raises(PeerError) as caught:
        run_local(consortium.study(), consortium.paths)
    tax = consortium.paths["tax"]
    command = f"fedrisk quota {tax} power --size 628"
    for part in ("tax (quota)", "314 evaluations were requested, but 79 of 393 are left", command):
        assert part in str(caught.value)
    code, out, err = fedrisk("check", consortium.study_file)
    assert (code, command in (out + err).replace("\n", " ")) == (1, True)
    code, out, _ = fedrisk("quota", tax)
    assert "power, epoch 1: 314 of 393 used, 79 left" in out
    assert fedrisk(*command.split()[1:])[0] == 0
    assert fedrisk("check", consortium.study_file)[0] == 0
    run_local(consortium.study(), consortium.paths)
    code, out, _ = fedrisk("quota", tax, "--json")
    assert json.loads(out)["quotas"]["power"] == {"agreed": 628, "used": 628}


@pytest.mark.long
def test_a_size_can_be_agreed_before_the_first_study(consortium, fedrisk):
    """For a table that will grow by more than a quarter, the operator need not wait for a refusal."""
    run_local(
        consortium.study(), consortium.paths, research_seed=1
    )  # keys are pinned by it, and nothing is counted
    assert fedrisk("quota", consortium.paths["tax"], "bank", "--size", "5000")[0] == 0
    run_local(consortium.study(), consortium.paths)
    _, out, _ = fedrisk("quota", consortium.paths["tax"], "bank")
    assert "bank, epoch 1: 400 of 5,000 used, 4,600 left" in out


def test_commands_are_enumerated():
    assert {"budget show", "audit show", "meter", "check", "own", "store show", "quota"} <= set(reading())
    assert isinstance(cli.app, typer.Typer)
    assert Path(cli.__file__).exists()
