"""The notebooks run as they are, from the first cell to the last; no outputs are stored."""

import pathlib
import re

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COURSE = [
    "01_first_recovery",
    "02_flow_and_descent",
    "03_loss_geometry",
    "04_certificates",
    "05_sweeps",
    "06_compressive_sensing",
    "07_your_own_problem",
]
# A cell that ends by drawing: its last expression is a call of one of these, at the margin.
DRAWS = re.compile(r"^(\w+_plot|phase_diagram|image_strip|image_grid|recovery_report)\(", re.M)
# Folders of a machine, where a person or a build keeps things.
PATHS = re.compile(r"(/home/|/root/|/Users/|/tmp/|/opt/|[A-Z]:\\\\|site-packages)")
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def figures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def test_the_notebooks_are_the_course():
    assert [path.stem for path in NOTEBOOKS] == COURSE


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Jupyter's own, in its own process
@each
def test_a_notebook_runs_and_draws_in_every_cell_that_says_so(path, monkeypatch):
    monkeypatch.setenv("JAXDIP_SMOKE", "1")  # smaller sizes
    notebook = read(path)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    drawn = [figures(cell) for cell in code(notebook)]
    assert drawn == [len(DRAWS.findall(cell.source)) for cell in code(notebook)]
    assert sum(drawn) >= 2


@each
def test_a_notebook_is_stored_without_outputs(path):
    notebook = read(path)
    for cell in code(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec"}
    assert [cell.id for cell in notebook.cells] == [f"cell-{i}" for i in range(len(notebook.cells))]


@each
def test_a_notebook_names_no_folder_of_a_machine(path):
    assert not PATHS.search(path.read_text())


@each
def test_a_notebook_reads_as_a_course(path):
    notebook = read(path)
    text = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    assert text[0] is notebook.cells[0]
    assert text[0].source.startswith("# ")
    assert any("$" in cell.source for cell in text)  # formulas
    assert any("arXiv" in cell.source for cell in text)  # with their sources
    assert sum(bool(DRAWS.search(cell.source)) for cell in code(notebook)) >= 2  # pictures
    source = "\n".join(cell.source for cell in code(notebook))
    assert not re.search(r"\b(jaxdip|jd)\.(\w+\.)*_", source)  # the public interface only
