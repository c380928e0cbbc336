"""A simulated province, made by ``python -m sim_institutions`` in a process of its own and kept for the next study."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fedrisk.errors import ConfigError
from fedrisk.lab.data_set_rules import Province


def simulated(rule: Province, seed: int, cache: Path) -> Path:
    """Folder with the study and institution files of a province; one of the same settings and code is made once.

    cache: where provinces are kept. ConfigError where the simulation is not installed or refuses the settings.
    """
    name = f"{rule.profile}_{rule.enterprises}_{seed}_{_code_digest()}"
    kept = cache / name
    if (kept / "study.toml").is_file():
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{name}_") as work:
        made = Path(work) / "province"
        _simulate(rule, seed, made)
        try:
            os.rename(made, kept)
        except OSError:
            # Another process was faster; the same settings make the same province.
            if not (kept / "study.toml").is_file():
                raise
    return kept


def _simulate(rule: Province, seed: int, out: Path) -> None:
    command = [sys.executable, "-m", "sim_institutions", "--research", "--workers", "1"]
    # As one word, lest a profile be taken for an option.
    command += [f"--profile={rule.profile}", "--enterprises", str(rule.enterprises)]
    command += ["--seed", str(seed), "--out", str(out)]
    # The package may lie beside fedrisk without being installed.
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ConfigError(
            f"the simulation of a province ended with status {done.returncode}: {said[-1] if said else 'no word'}; "
            "correct [province], or install sim_institutions, which stands beside fedrisk in its repository"
        )


def _code_digest() -> str:
    """Names the simulation's version: of all its files, so that a changed simulation makes a new province."""
    spec = importlib.util.find_spec("sim_institutions")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "a simulated province needs sim_institutions, which stands beside fedrisk in its repository; install it"
        )
    sha = hashlib.sha256()
    folder = Path(spec.submodule_search_locations[0])
    for file in sorted(f for f in folder.rglob("*") if f.suffix in (".py", ".toml")):
        content = file.read_bytes()
        sha.update(f"{file.relative_to(folder).as_posix()}:{len(content)};".encode())
        sha.update(content)
    return sha.hexdigest()[:12]
