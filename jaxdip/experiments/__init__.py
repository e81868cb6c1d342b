"""The papers' experiments: each a file with its configuration, its run, its figures and its claims.

`jaxdip reproduce NAME` runs one from the shell; from Python:

    experiment = jd.experiments.find("gd-1b").presets()["quick"]
    data = experiment.run(jd.experiments.Lab(jax.random.key(0)))
    figures, claims = experiment.draw(data), experiment.claims(data)
"""

import difflib

from jaxdip.experiments._claim import Claim as Claim
from jaxdip.experiments._experiment import PRESETS as PRESETS
from jaxdip.experiments._experiment import AbstractExperiment as AbstractExperiment
from jaxdip.experiments._experiment import Cost as Cost
from jaxdip.experiments._experiment import Preset as Preset
from jaxdip.experiments._gd_1b import GD1b as GD1b
from jaxdip.experiments._lab import Lab as Lab
from jaxdip.experiments._lab import Unfinished as Unfinished

#: All experiments, in the order of their sources: the talk, the papers, and beyond them.
EXPERIMENTS: tuple[type[AbstractExperiment], ...] = (
    # The talk.
    # Gradient descent (arXiv 2403.05395).
    GD1b,
    # Gradient flow (arXiv 2309.12128).
    # Compressive sensing (arXiv 2005.03991).
    # Beyond the papers.
)


def find(name: str) -> type[AbstractExperiment]:
    """The experiment of a name.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    names = {kind.name: kind for kind in EXPERIMENTS}
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"no experiment {name!r}; {hint}there are {', '.join(names)}")
    return names[name]
