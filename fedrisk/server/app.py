"""The ServerApp: reads the study that the run's configuration names, runs it, saves the results."""

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedrisk.recipes import load_study, recipe_of
from fedrisk.server.hub import Hub
from fedrisk.server.run import run_study

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run configuration: ``study`` and ``out`` (paths at the hub), ``research-seed`` (negative for none)."""
    config = context.run_config
    seed = int(str(config.get("research-seed", -1)))
    study = load_study(str(config["study"]))
    results = run_study(
        grid,
        study,
        recipe_of(study),
        Hub.default(),
        engine="flower",
        research_seed=seed if seed >= 0 else None,
        report=lambda number, action, what: print(f"exchange {number}: {action} ({what})", flush=True),
    )
    results.save(Path(str(config["out"])))
    print(f"results in {config['out']}", flush=True)
