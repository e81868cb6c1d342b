"""The papers' experiments: each a file with its configuration, its run, its figures and its claims.

`jaxdip reproduce NAME` runs one from the shell; from Python:

    experiment = jd.experiments.find("gd-1b").presets()["quick"]
    data = experiment.run(jd.experiments.Lab(jax.random.key(0)))
    figures, claims = experiment.draw(data), experiment.claims(data)
"""

import difflib

from jaxdip.experiments._a_posteriori import APosteriori as APosteriori
from jaxdip.experiments._certified import Certified as Certified
from jaxdip.experiments._claim import Claim as Claim
from jaxdip.experiments._cs_1 import CS1 as CS1
from jaxdip.experiments._cs_2 import CS2 as CS2
from jaxdip.experiments._cs_3 import CS3 as CS3
from jaxdip.experiments._cs_4 import CS4 as CS4
from jaxdip.experiments._cs_5 import CS5 as CS5
from jaxdip.experiments._cs_noise import CSNoise as CSNoise
from jaxdip.experiments._cs_theorem_1 import CSTheorem1 as CSTheorem1
from jaxdip.experiments._cs_theorem_4 import CSTheorem4 as CSTheorem4
from jaxdip.experiments._edge_of_stability import EdgeOfStability as EdgeOfStability
from jaxdip.experiments._experiment import PRESETS as PRESETS
from jaxdip.experiments._experiment import AbstractExperiment as AbstractExperiment
from jaxdip.experiments._experiment import Cost as Cost
from jaxdip.experiments._experiment import Preset as Preset
from jaxdip.experiments._gd_1a import GD1a as GD1a
from jaxdip.experiments._gd_1b import GD1b as GD1b
from jaxdip.experiments._gd_2 import GD2 as GD2
from jaxdip.experiments._gd_3a import GD3a as GD3a
from jaxdip.experiments._gd_3b import GD3b as GD3b
from jaxdip.experiments._gd_4 import GD4 as GD4
from jaxdip.experiments._gf_conditioning import GFConditioning as GFConditioning
from jaxdip.experiments._gf_early_stopping import GFEarlyStopping as GFEarlyStopping
from jaxdip.experiments._gf_follow_ups import GFFollowUps as GFFollowUps
from jaxdip.experiments._gf_width import GFWidth as GFWidth
from jaxdip.experiments._lab import Lab as Lab
from jaxdip.experiments._lab import Unfinished as Unfinished
from jaxdip.experiments._ode_discrete import ODEDiscrete as ODEDiscrete
from jaxdip.experiments._talk_deblurring import TalkDeblurring as TalkDeblurring
from jaxdip.experiments._talk_ill_conditioned import TalkIllConditioned as TalkIllConditioned
from jaxdip.experiments._talk_inertia import TalkInertia as TalkInertia
from jaxdip.experiments._talk_overparametrisation import (
    TalkOverparametrisation as TalkOverparametrisation,
)
from jaxdip.experiments._talk_power_loss import TalkPowerLoss as TalkPowerLoss

#: All experiments, in the order of their sources: the talk, the papers, and beyond them.
EXPERIMENTS: tuple[type[AbstractExperiment], ...] = (
    # The talk.
    TalkDeblurring,
    TalkOverparametrisation,
    TalkIllConditioned,
    TalkPowerLoss,
    TalkInertia,
    # Gradient descent (arXiv 2403.05395).
    GD1a,
    GD1b,
    GD2,
    GD3a,
    GD3b,
    GD4,
    # Gradient flow (arXiv 2309.12128).
    GFWidth,
    GFEarlyStopping,
    GFConditioning,
    GFFollowUps,
    # Compressive sensing (arXiv 2005.03991).
    CS1,
    CS2,
    CS3,
    CS4,
    CS5,
    CSTheorem1,
    CSTheorem4,
    CSNoise,
    # Beyond the papers.
    Certified,
    APosteriori,
    EdgeOfStability,
    ODEDiscrete,
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
