"""The commands: what they print, where they stop, and that no error is a traceback."""

import errno
import io
import json
import os
import re
import shutil
from pathlib import Path

import click
import pytest
import typer

from fedrisk import cli
from fedrisk.api import run
from fedrisk.cli.exits import EXIT_CODES
from fedrisk.cli.progress import Progress
from fedrisk.cli.reference import page
from fedrisk.engine.in_process import load_nodes
from fedrisk.server.hub import Hub
from support.unplotted import without_plots

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unplotted")]


# --- help ---------------------------------------------------------------------------------------------------


def test_help_names_the_commands(fedrisk):
    code, out, _ = fedrisk("--help")
    assert code == 0
    for word in ("check", "run", "show", "available but not visible"):
        assert word in out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("check", ["Look before you run", "--set", "--institutions", "STUDY_FILE"]),
        ("run", ["--out", "--set", "--institutions", "--research-seed", "NO PRIVACY", "research = true"]),
        ("show", ["FOLDER", "write its report again"]),
    ],
)
def test_help_of_each_command(fedrisk, command, words):
    code, out, _ = fedrisk(command, "--help")
    assert code == 0
    assert not [word for word in words if word not in out]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "study.toml"], "--out"),
        (["run", "study.toml", "--out", "x", "--research-seed", "-1"], "--research-seed"),
        (["show"], "FOLDER"),
        (["check", "study.toml", "--colour"], "--colour"),
        (["destroy"], "destroy"),
    ],
)
def test_wrong_calls_are_told_in_words(fedrisk, arguments, says):
    code, _, err = fedrisk(*arguments)
    assert code == 2
    assert says in err


# --- check --------------------------------------------------------------------------------------------------


def test_check_of_a_good_study(fedrisk, consortium):
    code, out, err = fedrisk("check", consortium.study_file)
    assert (code, err) == (0, "")
    for word in (
        "study tiny",
        "bank",
        "400",
        "label counts",
        "evaluation on the hold-out",
        "epsilon 8 at delta 1e-06",
    ):
        assert word in out
    said = " ".join(out.split())
    assert "84 defaults in training" in said and "in nine of ten studies of this size" in said


def test_check_releases_and_spends_nothing(fedrisk, consortium, fedrisk_home):
    fedrisk("check", consortium.study_file)
    assert all(node.ledger.spent() == 0 for node in load_nodes(consortium.paths).values())
    assert not (fedrisk_home / "hub").exists()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("purpose=marketing", "purpose marketing is not among policy.purposes"),
        ("privacy.epsilon=9", "which is above policy.max_epsilon = 8"),
        ("privacy.epsilon=inf", "for research runs only"),
        ("privacy.delta=0.01", "Lower delta"),
    ],
)
def test_check_of_a_study_that_would_be_refused(fedrisk, consortium, override, says):
    code, out, err = fedrisk("check", consortium.study_file, "--set", override)
    assert code == 1
    assert says in re.sub(r"[│┃\s]+", " ", out)
    assert out.rstrip().splitlines()[-1].startswith("study tiny: would be refused, for ")
    assert not err


def test_check_tells_a_budget_that_is_used_up(fedrisk, write_consortium):
    tiny = write_consortium()
    for path in tiny.paths.values():
        path.write_text(path.read_text().replace("cap_epsilon = 20.0", "cap_epsilon = 2.0"))
    code, out, _ = fedrisk("check", tiny.study_file)
    assert code == 1
    assert "privacy budget of the accounting period" in re.sub(r"\s+", " ", out)


def test_check_tells_what_is_wrong_with_a_table(fedrisk, consortium):
    table = consortium.folder / "data" / "power.csv"
    table.write_text(table.read_text().replace("load", "laod", 1))
    code, out, _ = fedrisk("check", consortium.study_file)
    assert code == 1
    assert "load" in out


# --- run and show -------------------------------------------------------------------------------------------


@pytest.mark.plots
def test_run_and_show(fedrisk, consortium, tmp_path):
    folder = tmp_path / "out [1]"
    code, out, err = fedrisk("run", consortium.study_file, "--out", folder, "--set", "privacy.epsilon=4")
    assert code == 0
    assert "exchange  1  describe" in err and "exchange  1" not in out
    assert (
        f"results in {folder}: metrics.json, scorecard.json, release_record.npz, report.html"
        in out.replace("\n", "")
    )
    assert "epsilon 4 at delta 1e-06" in out
    # The last lines, not page after page of tables, which show, --verbose and the report have.
    assert "all tables: fedrisk show" in out
    assert "who saw what" not in out and len(out.splitlines()) < 40
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["epsilon"] == 4.0
    assert metrics["engine"] == "in-process"

    nodes = load_nodes(consortium.paths)
    spent = [node.ledger.spent() for node in nodes.values()]
    assert min(spent) == pytest.approx(metrics["mu"])
    scores = list((nodes["bank"].store.path / "results").glob("*/scores.parquet"))
    assert len(scores) == 1
    for node in nodes.values():  # nothing that could open old envelopes is left
        assert not list((node.store.path / "attempts").glob("*/secrets/*")), node.name
        assert not list((node.store.path / "attempts").glob("*/*.npy")), node.name

    (folder / "report.html").unlink()
    code, again, err = fedrisk("show", folder)
    assert (code, err) == (0, "")
    assert (folder / "report.html").is_file()
    assert "study tiny" in again and "who saw what" in again
    assert "epsilon 4 at delta 1e-06" in again


def test_a_research_run_says_so(fedrisk, consortium, tmp_path):
    code, out, _ = fedrisk("run", consortium.study_file, "--out", tmp_path / "out", "--research-seed", "1")
    assert code == 0
    assert out.lstrip().startswith("research run: no privacy")
    assert all(node.ledger.spent() == 0 for node in load_nodes(consortium.paths).values())
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["notice"] == "research run: no privacy"


def test_a_study_that_is_refused(fedrisk, consortium, tmp_path):
    code, _, err = fedrisk(
        "run", consortium.study_file, "--out", tmp_path / "out", "--set", "purpose=marketing"
    )
    assert code == 8
    assert "error (peer): no agreement from bank, tax, power" in err
    assert "tax takes no part in study tiny: purpose marketing is not among policy.purposes" in err
    assert not list((tmp_path / "out").iterdir())


def test_a_research_run_is_refused_where_a_policy_forbids_it(fedrisk, write_consortium, tmp_path):
    tiny = write_consortium(research=False)
    code, _, err = fedrisk("run", tiny.study_file, "--out", tmp_path / "out", "--research-seed", "1")
    assert code == 8
    assert "policy.research is false" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "none.toml"], "study none.toml does not exist; check the path"),
        (["show", "none"], "does not exist; name the --out folder of a finished run"),
        (["show", __file__], "is a file; name the folder of a finished run"),
    ],
)
def test_missing_files(fedrisk, arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = fedrisk(*arguments)
    assert code == 3
    assert err.startswith("error (config): ")
    assert says in err


def test_brackets_of_a_message_are_printed(fedrisk, consortium):
    """Texts name sections as [table]; on the screen they must not be taken for colours."""
    path = consortium.paths["bank"]
    path.write_text('name = "bank"\nkind = "bank"\n')
    code, _, err = fedrisk("check", consortium.study_file)
    assert code == 3
    assert "a bank needs [table] and [dictionary]" in err


def test_missing_institution_files_are_named(fedrisk, consortium):
    consortium.paths["tax"].unlink()
    code, _, err = fedrisk("run", consortium.study_file, "--out", "x")
    assert code == 3
    assert "no institution file for tax" in err
    assert "--institutions" in err


def test_bad_overrides_are_told(fedrisk, consortium):
    code, _, err = fedrisk("check", consortium.study_file, "--set", "privacy.epsilon")
    assert code == 3
    assert "is not of the form key.sub=value" in err


def test_a_changed_key_stops_a_run(fedrisk, consortium, tmp_path):
    Hub.default().pin({"tax": bytes([9]) * 32})
    code, _, err = fedrisk("run", consortium.study_file, "--out", tmp_path / "out")
    assert code == 7
    assert err.startswith("error (envelope): the key of tax is not the one pinned")


# --- an institution's own commands --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def once(tmp_path_factory, tiny_writer):
    """The tiny consortium after one private study, and a copy of it beside."""
    folder = tmp_path_factory.mktemp("spent") / "own"
    tiny = tiny_writer(folder / "consortium")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        without_plots(patch)
        run(tiny.study_file, out=tiny.folder / "results")
    shutil.copytree(folder, folder.with_name("kept"))
    return tiny


@pytest.fixture
def spent(fedrisk, once, monkeypatch):
    """The caller, and that consortium; brought back afterwards, since a store belongs to the place of its table."""
    folder = once.folder.parent
    monkeypatch.setenv("FEDRISK_HOME", str(folder / "home"))
    yield fedrisk, once
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("kept"), folder)


def test_budget_before_and_after_a_study(spent):
    fedrisk, consortium = spent
    code, out, _ = fedrisk("budget", consortium.paths["tax"], "--json")
    report = json.loads(out)
    assert code == 0
    assert report["institution"] == "tax"
    asked = consortium.study().privacy.epsilon
    assert report["spent"]["epsilon"] == pytest.approx(asked, rel=1e-3)
    assert report["reserved"]["mu"] == 0
    assert report["left"]["epsilon"] < report["cap"]["epsilon"]
    assert list(report["by_study"]) == ["tiny"]
    code, out, _ = fedrisk("budget", consortium.paths["tax"])
    assert code == 0
    used, left = map(int, re.search(r"(\d+) % used, (\d+) % left", out).groups())
    assert used + left == 100 and used == round(100 * (report["spent"]["mu"] / report["cap"]["mu"]) ** 2)
    assert "spent for life" in out and "further stud" in out


@pytest.mark.long
def test_a_grant_is_recorded_and_raises_the_cap(spent):
    fedrisk, consortium = spent
    before = json.loads(fedrisk("budget", consortium.paths["tax"], "--json")[1])
    code, out, _ = fedrisk(
        *("budget", "grant", consortium.paths["tax"]),
        *("--epsilon", "1", "--reason", "one more refit", "--who", "officer"),
    )
    after = json.loads(fedrisk("budget", consortium.paths["tax"], "--json")[1])
    assert code == 0
    cap = before["cap"]["epsilon"]
    assert f"the cap was epsilon {cap:.2f} and is {cap + 1:.2f}" in " ".join(out.split())
    assert after["granted"]["epsilon"] == pytest.approx(1, rel=1e-3)
    assert after["cap"]["epsilon"] == pytest.approx(cap + 1, rel=1e-3)
    assert after["cap"]["mu"] ** 2 - before["cap"]["mu"] ** 2 == pytest.approx(after["granted"]["mu"] ** 2)


def test_policy_check_allows_and_refuses(spent):
    fedrisk, consortium = spent
    code, out, _ = fedrisk(
        "policy", "check", consortium.paths["tax"], consortium.study_file, "--set", "privacy.epsilon=0.1"
    )
    assert (code, "allowed" in out) == (0, True)
    code, out, _ = fedrisk(
        "policy", "check", consortium.paths["tax"], consortium.study_file, "--set", "purpose=marketing"
    )
    assert code == 1
    assert "policy.purposes" in out


def test_meter_equals_the_trail(spent):
    fedrisk, consortium = spent
    code, out, _ = fedrisk("meter", consortium.paths["tax"], "--csv")
    rows = [line.split(",") for line in out.strip().splitlines()]
    assert code == 0
    assert rows[0][0] == "counterparty"
    hub = next(row for row in rows[1:] if row[0] == "hub")
    trail = load_nodes(consortium.paths)["tax"].trail
    assert int(hub[4]) == sum(1 for _ in trail.entries(event="release"))
    shown = fedrisk("meter", consortium.paths["tax"])[1]
    assert "month" in shown and "study tiny, purpose credit_scoring, consent" in shown
    plain = json.loads(fedrisk("meter", consortium.paths["tax"], "--json")[1])
    (of_hub,) = [row for row in plain["by_month"] if row["counterparty"] == "hub"]
    (of_attempt,) = plain["by_attempt"]
    assert of_attempt["releases"] == of_hub["releases"] == int(hub[4]) and of_attempt["study"] == "tiny"


def test_the_trail_is_shown_verified_exported_and_a_changed_one_found_out(spent):
    fedrisk, consortium = spent
    node = load_nodes(consortium.paths)["tax"]
    code, out, _ = fedrisk("audit", "show", consortium.paths["tax"], "--last", "3")
    assert code == 0
    entries = json.loads(fedrisk("audit", "show", consortium.paths["tax"], "--last", "3", "--json")[1])
    (attempt,) = {entry["attempt"] for entry in entries}
    assert f"attempt {attempt}" in out and "study tiny, purpose credit_scoring, consent" in out
    assert all(f" {entry['index']}  {entry['time'][11:19]}" in out for entry in entries)
    of_it = fedrisk("audit", "show", consortium.paths["tax"], "--attempt", attempt[:6], "--json")[1]
    assert {entry["attempt"] for entry in json.loads(of_it)} == {attempt}
    code, _, err = fedrisk("audit", "show", consortium.paths["tax"], "--attempt", "nosuch")
    assert code != 0 and "no entry of an attempt that begins with nosuch" in err
    code, out, _ = fedrisk("audit", "verify", consortium.paths["tax"])
    assert code == 0 and "charges of the ledger hold, and are those of the trail" in out
    code, _, _ = fedrisk("audit", "export", consortium.paths["tax"], "--to", consortium.folder / "handed")
    assert (code, len(list((consortium.folder / "handed").iterdir()))) == (0, 3)
    log = node.store.path / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"bytes":', b'"bytes":1', 1)
    log.write_bytes(b"".join(lines))
    code, out, _ = fedrisk("audit", "verify", consortium.paths["tax"])
    assert code == 1
    assert "entry 4" in out


@pytest.mark.long
def test_the_authority_shows_and_raises_a_quota(spent):
    fedrisk, consortium = spent
    code, out, _ = fedrisk("quota", consortium.paths["tax"], "bank")
    assert (code, "400 of 500 used" in out) == (0, True)
    code, out, _ = fedrisk("quota", consortium.paths["tax"], "bank", "--size", "900")
    assert (code, "400 of 900 used" in out) == (0, True)
    code, _, err = fedrisk("quota", consortium.paths["tax"], "bank", "--size", "300")
    assert code == 5
    assert "400 evaluations are used already" in err
    code, _, err = fedrisk("quota", consortium.paths["tax"], "bnk", "--size", "900")
    assert code == 3
    assert "name an institution as studies do, one of: bank" in err


def test_a_registered_node_that_lost_its_key_says_so(spent):
    fedrisk, consortium = spent
    (load_nodes(consortium.paths)["tax"].store.path / "identity.key").unlink()
    code, _, err = fedrisk("audit", "verify", consortium.paths["tax"])
    assert code == 9
    assert "put it back from its copy" in err


# --- manners ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "says"), [("blind", "bank nothing, tax nothing"), ("score", "bank epsilon ")])
def test_ctrl_c_says_what_was_charged(fedrisk, consortium, tmp_path, monkeypatch, at, says):
    """Stopped before the first release nobody is charged; after the counts all are, and the line says how much."""

    def stop(self, number, action, what):
        if action == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "exchange", stop)
    code, out, err = fedrisk("run", consortium.study_file, "--out", tmp_path / "out")
    assert (code, out) == (130, "")
    assert "study tiny was stopped by hand. Charged by this run: " in err
    assert says in err
    nodes = load_nodes(consortium.paths)
    for name, node in nodes.items():
        epsilon = node.ledger.report().spent.epsilon
        assert (f"{name} nothing" in err) == (epsilon == 0)
        if epsilon:
            shown = float(re.search(rf"{name} epsilon ([\d.]+) ", err)[1])
            assert shown == pytest.approx(epsilon, rel=0.01)


class Full(io.TextIOBase):
    """A stream on a full disk, or of a reader that went away."""

    encoding = "utf-8"

    def __init__(self, number):
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("number", "exits"), [(errno.EPIPE, 0), (errno.ENOSPC, 9)])
def test_a_stream_that_takes_nothing_never_loses_a_study(
    consortium, tmp_path, monkeypatch, capsys, number, exits
):
    monkeypatch.setattr(
        "sys.argv", ["fedrisk", "run", str(consortium.study_file), "--out", str(tmp_path / "o")]
    )
    monkeypatch.setattr("sys.stdout", Full(number))
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert int(stop.value.code or 0) == exits
    assert (tmp_path / "o" / "metrics.json").exists()
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert ("standard output could not be written: No space left on device" in err) == (exits == 9)


def test_letters_that_a_terminal_lacks_are_written_otherwise(consortium, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr("sys.argv", ["fedrisk", "check", str(consortium.study_file)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert b"study tiny" in raw.getvalue() and b"+/-" in raw.getvalue()


def test_what_was_not_foreseen_is_one_line_and_a_private_log(fedrisk, consortium, fedrisk_home, monkeypatch):
    """The line names the log; the log has the frames and nothing that a cell may hold."""

    cell = "ENT000001"

    def broken(*arguments, **options):
        raise ValueError(f"could not convert string to float: {cell!r}")

    monkeypatch.setattr("fedrisk.api.check_study", broken)
    code, out, err = fedrisk("check", consortium.study_file)
    (log,) = (fedrisk_home / "logs").glob("*.log")
    assert (code, out) == (10, "")
    assert len(err.strip().splitlines()) == 1 and "ValueError" in err and str(log) in err
    text = log.read_text()
    assert "in broken" in text and "could not convert string to float" in text and cell not in text
    assert log.stat().st_mode & 0o777 == 0o600
    for _ in range(30):
        log.write_text("x" * (1 << 21) + "y")
        fedrisk("check", consortium.study_file)
    assert len(list(log.parent.iterdir())) <= 21


@pytest.mark.sampled(2)
@pytest.mark.parametrize("place", ["before", "after"])
def test_options_that_hold_everywhere(fedrisk, consortium, tmp_path, place):
    log = tmp_path / "run.log"
    options = ["--quiet", "--log-file", log]
    words = ["run", consortium.study_file, "--out", tmp_path / "out"]
    code, out, err = fedrisk(*(options + words if place == "before" else words + options))
    assert (code, err) == (0, "")
    assert "results in" in out
    code, _, _ = fedrisk("check", "none.toml", "--log-file", log)
    assert code == 3 and "study none.toml does not exist" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert fedrisk("check", "none.toml", "--log-file", tmp_path / "no" / "such.log")[0] == 2


def test_the_version(fedrisk):
    import fedrisk as package

    assert fedrisk("--version")[1].strip() == f"fedrisk {package.__version__}"
    found = json.loads(fedrisk("version", "--json")[1])
    assert {"fedrisk", "python", "flwr", "numpy", "torch"} <= set(found)


def commands():
    """(words, command) of every command that can be called."""
    root = typer.main.get_command(cli.app)

    def below(words, command):
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from below([*words, name], inner)
        else:
            yield words, command

    return list(below([], root))


@pytest.mark.parametrize(("words", "command"), [pytest.param(w, c, id=" ".join(w)) for w, c in commands()])
def test_every_parameter_has_help_with_an_example(fedrisk, words, command):
    """Flags need none; everything else says "for example" or lists its choices. And the screen shows it at 80 columns."""
    assert command.help
    lacking = [
        p.name
        for p in command.params
        if not getattr(p, "help", None)
        or not (getattr(p, "is_flag", False) or "xample" in p.help or isinstance(p.type, click.Choice))
    ]
    assert not lacking
    code, out, _ = fedrisk(*words, "--help")
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", out).split())
    assert code == 0
    for p in command.params:
        assert " ".join(p.help.split()[:3]) in shown, p.name


def test_the_page_of_commands_is_as_the_commands_are():
    """docs/commands.md is made by ``python -m fedrisk.cli.reference``; every command and parameter is on it."""
    made = page(typer.main.get_command(cli.app))
    kept = Path(__file__).parents[2] / "docs" / "commands.md"
    assert kept.read_text(encoding="utf-8") == made, "run python -m fedrisk.cli.reference > docs/commands.md"
    for words, command in commands():
        assert f"## fedrisk {' '.join(words)}\n" in made
        assert all(p.opts[0] in made for p in command.params if isinstance(p, click.Option))
    assert all(f"| {code} | " in made for code in EXIT_CODES)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (lambda c: ["check", c.paths["bank"]], "is an institution's file, and a study's is wanted"),
        (lambda c: ["budget", c.study_file], "is a study's file, and an institution's is wanted"),
        (lambda c: ["check", c.folder], "is a folder; name the file in it; in it are study.toml"),
        (lambda c: ["check", c.folder / "stduy.toml"], f"did you mean {'{folder}'}/study.toml?"),
        (lambda c: ["check", c.study_file, "--set", "privacy.epsilom=3"], 'did you mean "epsilon"?'),
        (lambda c: ["check", c.study_file, "--set", "epsilon=3"], "it stands in [privacy]"),
        (lambda c: ["check", c.study_file, "--set", "privacy.epsilon=3,5"], "must be a number"),
    ],
)
def test_files_and_keys_that_were_meant_otherwise(fedrisk, consortium, arguments, says):
    code, out, err = fedrisk(*arguments(consortium))
    assert (code, out) == (3, "")
    assert says.replace("{folder}", str(consortium.folder)) in err
