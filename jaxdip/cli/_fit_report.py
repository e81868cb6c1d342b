"""What a recovery by an optimiser leaves: images, curves, numbers."""

import collections
import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import jaxdip as jd
from jaxdip._types import Array
from jaxdip.cli._fit_run import FitProblem, FitRun, Recipe, seed_key, statistics
from jaxdip.cli._outputs import plain, provenance, table, write_json, write_zarr
from jaxdip.cli._result_name import result_name
from jaxdip.imaging import Image, psnr, ssim, write_image
from jaxdip.operators import AbstractLinearOperator
from jaxdip.plot import StripImage, image_grid, image_strip, save, stopping_plot

_SMALLEST_SSIM = 7  # pixels, the side of its window
#: Data beyond white by more than their noise are shown on a scale of their own.
_BRIGHTEST = 1.5
#: The table's last digit, in decibels.
_TOLD = 0.005
_psnr, _ssim = jax.jit(psnr), jax.jit(ssim)


@dataclasses.dataclass(frozen=True, eq=False)
class FitRecovery:
    """Everything that is written; images are in units of white."""

    image: Image
    problem: FitProblem
    recipe: Recipe
    run: FitRun
    caption: str
    config: Mapping[str, object]

    @property
    def whole(self) -> jd.Reconstruction | None:
        """The reconstruction of the image as a whole; None if it was made of tiles."""
        return self.run.result if isinstance(self.run.result, jd.Reconstruction) else None

    @functools.cached_property
    def seeds(self) -> Mapping[str, Any]:
        """How the seeds ended and what their images are worth; nothing of tiles."""
        return {} if self.whole is None else _over_seeds(self, self.whole)


def write_fit(recovery: FitRecovery, out: Path) -> None:
    """Write images, figures, trace and summary; the summary last."""
    # What a run with other rules left there is none of this one's.
    for pattern in ("recovered-*", "curves.*", "vectors.*"):
        for old in filter(Path.is_file, out.glob(pattern)):
            old.unlink()
    for name, x in recovery.run.images.items():
        _write_image(recovery, x, out, name)
    for name, figure in _figures(recovery).items():
        for ending in ("png", "pdf"):
            save(figure, out / f"{name}.{ending}", plain(recovery.config))
    record = provenance(recovery.config)
    attributes = {**record, "caption": recovery.caption, "interrupted": recovery.run.interrupted}
    write_zarr(out / "result.zarr", _dataset(recovery), attributes)
    write_json(out / "summary.json", {**record, **_summary(recovery)})


def fit_text(recovery: FitRecovery, out: Path) -> str:
    """The table that the command prints."""
    run, whole = recovery.run, recovery.whole
    stops = {} if whole is None else whole.stops
    rows = [["image", "step", "PSNR", "SSIM", "fired at"]]
    for name in dict.fromkeys([*run.images, *stops]):
        quality = _quality(recovery, run.images[name]) if name in run.images else {}
        step, fired = (-1, -1)
        if name in stops:
            step, fired = int(stops[name].step[0]), int(stops[name].fired_at[0])
        decibels = f"{quality['psnr']:.2f}" if "psnr" in quality else "-"
        similar = f"{quality['ssim']:.3f}" if "ssim" in quality else "-"
        chosen = "-" if name in run.images else "chose none"
        rows.append([name, _counted(step, chosen), decibels, similar, _counted(fired, "-")])
    lines = [table(rows)]
    if _clipping_tells(recovery):
        lines.append(
            "PSNR and SSIM: of images clipped to [0, 1]; rules and curves see them unclipped"
        )
    lines += [*_reasons(run.result), *_seed_lines(recovery), *run.result.notes]
    lines.append(f"{run.seconds:.1f} s; written to {out}/")
    return "\n".join(lines)


def _seed_lines(recovery: FitRecovery) -> list[str]:
    """What several seeds did, together and rule by rule."""
    count, seeds = recovery.recipe.fit.seeds, recovery.seeds
    if count == 1:
        return []
    lines = ["images: of the first seed"]
    told = _spread(seeds)
    lines.append(f"over {count} seeds: {told + ', ' if told else ''}{seeds['failures']} failed")
    for name, found in seeds["rules"].items():
        told = _spread(found)
        chosen = f"{found['chose']} of {count} chose an image"
        lines.append(f"over {count} seeds, {name}: {told + ', ' if told else ''}{chosen}")
    return lines


def _spread(found: Mapping[str, Any]) -> str:
    """Mean and spread of PSNR and SSIM, of which either may be missing."""
    words = []
    for name, title, digits, unit in (("psnr", "PSNR", 2, " dB"), ("ssim", "SSIM", 3, "")):
        mean, std = (found.get(name, {}).get(key) for key in ("mean", "std"))
        if mean is not None:
            words.append(f"{title} {mean:.{digits}f} ± {std:.{digits}f}{unit}")
    return ", ".join(words)


def _clipping_tells(recovery: FitRecovery) -> bool:
    """Whether an image leaves [0, 1] so far that its PSNR differs from what the rules saw."""
    truth = recovery.problem.truth
    if truth is None:
        return False
    for x in recovery.run.images.values():
        quality = _quality(recovery, x)
        seen = float(_psnr(jnp.asarray(x, truth.dtype), truth, 1.0))
        if "psnr" in quality and abs(quality["psnr"] - seen) > _TOLD:
            return True
    return False


def all_failed(recovery: FitRecovery) -> bool:
    """Whether every seed, or every tile, diverged."""
    return all(code == "diverged" for code in _codes(recovery.run.result))


def _counted(step: int, without: str) -> str:
    return str(step) if step >= 0 else without


def _reasons(result: jd.Reconstruction | jd.TiledReconstruction) -> list[str]:
    """Why the first seed ended, or how many tiles ended for which reason."""
    if isinstance(result, jd.Reconstruction):
        return [result.reason if isinstance(result.reason, str) else result.reason[0]]
    reasons = collections.Counter(tile.reason for tile in result.tiles)
    missing = result.total - len(result.tiles)
    lines = [f"{many} of {result.total} tiles: {why}" for why, many in reasons.most_common()]
    return [*lines, f"{missing} of {result.total} tiles: not begun"] if missing else lines


def _codes(result: jd.Reconstruction | jd.TiledReconstruction) -> list[str]:
    """How each seed, or each tile, ended."""
    if isinstance(result, jd.TiledReconstruction):
        return [result_name(tile.result) for tile in result.tiles]
    seeds = range(len(result.x))
    return [result_name(jax.tree.map(lambda x, i=i: x[i], result.result)) for i in seeds]


def _over_seeds(recovery: FitRecovery, result: jd.Reconstruction) -> dict[str, Any]:
    codes = _codes(result)
    found: dict[str, Any] = {
        "results": codes,
        "steps": np.asarray(result.steps).tolist(),
        "failures": sum(code == "diverged" for code in codes),
    }
    found |= _qualities(recovery, result.x)
    found["rules"] = {
        name: {
            "chose": int(np.sum(np.asarray(stop.step) >= 0)),
            **_qualities(recovery, stop.x),
        }
        for name, stop in result.stops.items()
    }
    return found


def _qualities(recovery: FitRecovery, images: Array) -> dict[str, Any]:
    """Mean and spread of PSNR and SSIM over images; NaN of one that is not finite."""
    each = [_quality(recovery, np.asarray(x)) for x in images]
    names = dict.fromkeys(name for one in each for name in one)
    return {name: statistics(np.asarray([one.get(name, np.nan) for one in each])) for name in names}


def _quality(recovery: FitRecovery, x: np.ndarray) -> dict[str, float]:
    """Of the image as it is shown, clipped to [0, 1]."""
    truth = recovery.problem.truth
    if truth is None or not np.isfinite(x).all():
        return {}
    shown = jnp.clip(jnp.asarray(x, truth.dtype), 0, 1)
    found = {"psnr": float(_psnr(shown, truth, 1.0))}
    if min(truth.shape[:2]) >= _SMALLEST_SSIM:
        found["ssim"] = float(_ssim(shown, truth, 1.0))
    return found


def _note(recovery: FitRecovery, x: np.ndarray, step: int | None = None) -> str:
    quality = _quality(recovery, x)
    words = [] if step is None else [f"step {step}"]
    if "psnr" in quality:
        words.append(f"{quality['psnr']:.2f} dB")
    if "ssim" in quality:
        words.append(f"SSIM {quality['ssim']:.3f}")
    # Two lines at most fit under an image.
    return "\n".join([", ".join(words[:1]), ", ".join(words[1:])]).strip()


def _figures(recovery: FitRecovery) -> dict[str, Any]:
    result, problem = recovery.whole, recovery.problem
    truth = None if problem.truth is None else np.asarray(problem.truth)
    strip = [StripImage("observation", _observation(problem), compared=False)]
    for name, x in recovery.run.images.items():
        # What was returned is one of the others, unless no rule acted on a tile.
        if name == "recovered" and result is not None and len(recovery.run.images) > 1:
            continue
        stop = None if result is None else result.stops.get(name)
        step = None if stop is None else int(stop.step[0])
        # The average of a short run holds much of its start; its errors would hide all others.
        scales = name != "average"
        strip.append(StripImage(name, x, _note(recovery, x, step), scales=scales))
    figures = {"report": image_strip(strip, truth=truth, caption=recovery.caption)}
    if result is None:
        return figures
    trace = {name: np.asarray(row) for name, row in result.trace.items()}
    figures["curves"] = stopping_plot(
        trace["step"],
        trace["residual"],
        psnr=trace.get("psnr"),
        psnr_label="PSNR in dB, before clipping to [0, 1]",
        marks={name: np.asarray(stop.step) for name, stop in result.stops.items()},
        noise_norm=problem.noise_norm or None,
        caption=recovery.caption,
    )
    if recovery.recipe.fit.vectors:
        figures["vectors"] = _vectors(recovery, result)
    return figures


def _observation(problem: FitProblem) -> np.ndarray:
    """The data as an image: themselves if they are one, otherwise what A* makes of them."""
    y, operator = problem.y, problem.operator
    if y.ndim in (2, 3) and not jnp.iscomplexobj(y) and (y.ndim == 2 or y.shape[-1] in (1, 3)):
        return _within_white(np.asarray(y))
    if isinstance(operator, AbstractLinearOperator):
        seen = np.asarray(operator.adjoint(y))
        return _within_white(np.abs(seen) if np.iscomplexobj(seen) else seen)
    first = np.abs(np.asarray(y[0]))
    return first / (first.max() or 1.0)


def _within_white(seen: np.ndarray) -> np.ndarray:
    """Far beyond white, as sums along rays are, the largest modulus becomes white."""
    largest = float(np.max(np.abs(seen)))
    return seen if largest <= _BRIGHTEST else seen / largest


def _vectors(recovery: FitRecovery, result: jd.Reconstruction) -> Any:
    """Leading left singular vectors of J_g at the end of the first seed, as images."""
    problem = recovery.problem
    shape = problem.operator.in_structure.shape
    _, u = recovery.recipe.build(shape, seed_key(recovery.recipe.seed, 0))
    generator = jax.tree.map(lambda leaf: leaf[0] if eqx.is_array(leaf) else leaf, result.generator)
    stated = jd.Problem(
        u=u, operator=problem.operator, loss=recovery.recipe.network.build_loss(), y=problem.y
    )
    count = recovery.recipe.fit.vectors
    found = jd.spectrum(
        stated, generator, of="J", method="krylov", depth=2 * count + 10, vectors=True
    )
    left = np.asarray(found.left)[:, :count].T.reshape(-1, *shape)
    titles = [f"σ = {float(value):.3g}" for value in np.asarray(found.values)[: len(left)]]
    return image_grid(left, titles, label="left singular vectors of J", caption=recovery.caption)


def _dataset(recovery: FitRecovery) -> xr.Dataset:
    result, problem = recovery.whole, recovery.problem
    pixel = ("row", "column", "colour")
    data: dict[str, Any] = {name: (pixel[: x.ndim], x) for name, x in recovery.run.images.items()}
    if problem.truth is not None:
        truth = np.asarray(problem.truth)
        data["truth"] = (pixel[: truth.ndim], truth)
    y: Any = np.asarray(problem.y)
    axes = tuple(f"y_{i}" for i in range(y.ndim))
    if np.iscomplexobj(y):
        data["y_real"], data["y_imag"] = (axes, y.real), (axes, y.imag)
    else:
        data["y"] = (axes, y)
    if result is not None:
        for name, row in result.trace.items():
            data[f"trace_{name}"] = (("seed", "record"), np.asarray(row))
        for name, stop in result.stops.items():
            data[f"stop_{name}"] = ("seed", np.asarray(stop.step))
    return xr.Dataset(data)


def _summary(recovery: FitRecovery) -> dict[str, Any]:
    run = recovery.run
    images = {name: _quality(recovery, x) for name, x in run.images.items()}
    return {
        "image": {"name": recovery.image.name, "source": recovery.image.source},
        "shape": list(recovery.problem.operator.in_structure.shape),
        "interrupted": run.interrupted,
        "seconds": run.seconds,
        "notes": list(run.result.notes),
        "noise_norm": recovery.problem.noise_norm,
        "images": images,
        "numbers": {name: float(np.ravel(x)[0]) for name, x in run.result.stats.items()},
        **_ends(recovery),
    }


def _ends(recovery: FitRecovery) -> dict[str, Any]:
    """How the run ended: by rules and seeds, or by tiles."""
    run = recovery.run
    if isinstance(run.result, jd.TiledReconstruction):
        tiles = [
            {
                "rows": [tile.window[0].start, tile.window[0].stop],
                "columns": [tile.window[1].start, tile.window[1].stop],
                "steps": tile.steps,
                "stops": {n: {"step": at, "acts": n in run.act} for n, at in tile.chosen.items()},
                "result": code,
                "reason": tile.reason,
            }
            for tile, code in zip(run.result.tiles, _codes(run.result), strict=True)
        ]
        return {"tiles": tiles, "tiles_of_the_image": run.result.total}
    stops = {
        name: {
            "steps": np.asarray(stop.step).tolist(),
            "fired_at": np.asarray(stop.fired_at).tolist(),
            "acts": name in run.act,
        }
        for name, stop in run.result.stops.items()
    }
    return {"reason": run.result.reason, "stops": stops, "seeds": recovery.seeds}


def _write_image(recovery: FitRecovery, x: np.ndarray, out: Path, name: str) -> None:
    """In the input's format and depth; floating point in the input's own units."""
    image = recovery.image
    ending = Path(image.source).suffix.lower()
    if ending not in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy"):
        ending = ".png"
    pixels = np.nan_to_num(np.abs(x) if np.iscomplexobj(x) else x).astype(np.float64)
    scale = image.scale if image.bits is None else 1.0
    name = name if name == "recovered" else f"recovered-{name}"
    write_image(out / f"{name}{ending}", pixels * scale, image.bits)
