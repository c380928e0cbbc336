"""The ServerApp: reads the study that the run's configuration names, runs it, saves the results."""

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedrisk.server.hub import Hub
from fedrisk.server.run import run_study
from fedrisk.study import load_study

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run configuration: ``study`` and ``out`` (paths at the hub), ``research-seed`` (negative for none)."""
    config = context.run_config
    seed = int(str(config.get("research-seed", -1)))
    results = run_study(
        grid,
        load_study(str(config["study"])),
        Hub.default(),
        engine="flower",
        research_seed=seed if seed >= 0 else None,
        progress=lambda number, action, what: print(f"exchange {number}: {action} ({what})", flush=True),
    )
    results.save(Path(str(config["out"])))
    print(f"results in {config['out']}", flush=True)
