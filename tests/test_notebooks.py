"""The notebooks run as they are, from the first cell to the last."""

import pathlib

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def figures(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Jupyter's own, in its own process
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_draws_what_it_shows(path, monkeypatch):
    monkeypatch.setenv("JAXDIP_SMOKE", "1")  # smaller sizes
    shown = read(path)
    fresh = read(path)
    for cell in fresh.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
    client = nbclient.NotebookClient(fresh, timeout=600, kernel_name="python3")
    client.execute()
    assert figures(fresh) == figures(shown) > 0


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_stored_notebook_shows_no_error_and_no_path_of_a_machine(path):
    text = path.read_text()
    assert '"output_type": "error"' not in text
    assert "/home/" not in text
    assert "site-packages" not in text
