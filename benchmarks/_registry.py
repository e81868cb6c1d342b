"""Which benchmarks there are, what each asks, and the ratios that its result holds."""

import ast
import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

FOLDER = pathlib.Path(__file__).parent

#: In the order of the table. A script's question is the first line of its head.
NAMES = (
    "reduction",
    "discrete_loop",
    "sweep_throughput",
    "sweep_engine",
    "sweep_scaling",
    "ode_tolerance",
    "ode_vs_discrete",
    "stiff",
    "weak_order",
    "decoder",
    "imaging",
    "spectra",
    "torch_spectra",
    "certificates",
    "precision",
    "roofline",
    "growth",
    "compile_times",
    "import_time",
    "memory",
    "kill_resume",
    "gpu",
)


def question(name: str) -> str:
    """The first line of a script's head, read without running it."""
    head = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text()))
    return head.splitlines()[0] if head else ""


def scripts() -> set[str]:
    """The scripts that are there."""
    return {path.stem for path in FOLDER.glob("[!_]*.py")}


def ratios(name: str, result: Mapping[str, Any]) -> dict[str, float]:
    """The ratios of a result: those it states, or those that its rows give.

    They may be none where the package to compare with is absent.

    Raises:
        ValueError: if it states none and no rule derives them.
    """
    if "ratios" not in result and name not in _DERIVED:
        raise ValueError(f"the result of {name} states no ratios")
    found = result["ratios"] if "ratios" in result else _DERIVED[name](result)
    return {words: float(value) for words, value in found.items()}


def _decoder(result: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"torch / jaxdip, {row['side']}², {row['dtype']}": row["torch_over_jaxdip"]
        for row in result["rows"]
        if "torch_over_jaxdip" in row
    }


def _imaging(result: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for row in result["rows"]:
        values = row["network"]["psnr"]
        gain = sum(values) / len(values) - row["total_variation"]["psnr"]
        found[f"dB, decoder − total variation, {row['problem']}"] = gain
    return found


def _memory(result: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"peak / told, {row['network']}, {row['precision']} {row['options']}".strip(): row[
            "peak_over_told"
        ]
        for row in result["rows"]
    }


def _sweep_engine(result: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name in ("overhead", "many", "small"):
        if name in result:
            found[f"cold start / numbers alone, {name}"] = 1 + result[name]["share"]
            found[f"with store / numbers alone, {name}"] = 1 + result[name]["share_of_store"]
    return found


_DERIVED: Mapping[str, Callable[[Mapping[str, Any]], dict[str, float]]] = MappingProxyType(
    {
        "decoder": _decoder,
        "imaging": _imaging,
        "memory": _memory,
        "sweep_engine": _sweep_engine,
    }
)
