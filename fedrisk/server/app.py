"""The ServerApp: reads the study that the run's configuration names, runs it, saves the results."""

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedrisk.recipes import load_study, recipe_of
from fedrisk.server.hub import Hub
from fedrisk.server.results import prepare
from fedrisk.server.run import run_study
from fedrisk.server.runs import Runs, refuse_again, save

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run configuration: ``study`` and ``out`` (paths at the hub), ``research-seed`` (negative for none), ``again``.

    Without ``again`` a study that was run and charged is not run once more, and results in ``out`` are not overwritten.
    """
    config = context.run_config
    seed, again = int(str(config.get("research-seed", -1))), bool(config.get("again", False))
    study, out = load_study(str(config["study"])), Path(str(config["out"]))
    refuse_again(Runs(Hub.default()), study, research=seed >= 0, again=again)
    prepare(out, again=again)
    results = run_study(
        grid,
        study,
        recipe_of(study),
        Hub.default(),
        engine="flower",
        research_seed=seed if seed >= 0 else None,
        report=lambda number, action, what: print(f"exchange {number}: {action} ({what})", flush=True),
        out=out,
    )
    save(results, out, Runs(Hub.default()), again=again)
    print(f"results of run {results.attempt} in {out}", flush=True)
