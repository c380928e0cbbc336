"""Run the notebook and keep what its cells show, for the site and for who reads it without running it.

Run as ``python docs/run_notebook.py`` (a minute), after a change of the notebook or of what it shows.
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

FILE = Path(__file__).with_name("notebook.ipynb")


def kept(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """An output with its table or plot, or its text where it has neither; None for what is no output of the cell."""
    if output.output_type == "stream":
        return output if output.name == "stdout" else None
    form = "text/html" if "text/html" in output.data else "text/plain"
    output.data = {form: output.data[form]}
    if output.output_type == "execute_result":
        output.execution_count = None
    return output


def main() -> None:
    """Run all cells in a kernel of this Python, in the folder of the repository."""
    notebook = nbformat.read(FILE, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FILE.parents[1])}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [output for found in cell.outputs if (output := kept(found)) is not None]
    nbformat.write(notebook, FILE)


if __name__ == "__main__":
    main()
