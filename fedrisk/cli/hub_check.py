"""``fedrisk hub check``: the public part of a study's check, at the hub."""

from fedrisk.cli.check import ResearchSeed
from fedrisk.cli.common import AsJson, Overrides, StudyFile
from fedrisk.cli.hub import HubFolder, hub_app


@hub_app.command("check")
def check(
    hub: HubFolder,
    study_file: StudyFile,
    overrides: Overrides = None,
    research_seed: ResearchSeed = None,
    as_json: AsJson = False,
) -> None:
    """Look before you submit: are all in the roster, in their roles and versions, and what would it cost them?

    The last line is the verdict; exit code 1 where the study would be refused. What members alone know they look at
    themselves, with fedrisk node check.
    """
    from fedrisk.cli.check_screen import show
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.deploy.roster import Roster
    from fedrisk.engine.public_check import check_public
    from fedrisk.recipes import load_study
    from fedrisk.server.hub import Hub

    home, study = HubHome.load(hub), load_study(study_file, overrides or [])
    show(
        check_public(study, Roster.latest(home), hub=Hub(home.path), research_seed=research_seed),
        as_json=as_json,
    )
