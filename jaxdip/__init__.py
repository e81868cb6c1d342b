"""Training dynamics of untrained networks that solve inverse problems.

Observe y = F(x̄) + ε, fit x = g(u, θ) by driving θ with a dynamics on L_y(F(g(u, θ))).
"""

import importlib

from jaxdip import generators as generators
from jaxdip import losses as losses
from jaxdip import noise as noise
from jaxdip import operators as operators
from jaxdip._random import key_for as key_for
from jaxdip._result import RESULTS as RESULTS
from jaxdip._result import Solution as Solution
from jaxdip.dynamics import IGAHD as IGAHD
from jaxdip.dynamics import ISEHD as ISEHD
from jaxdip.dynamics import Gap as Gap
from jaxdip.dynamics import GradientDescent as GradientDescent
from jaxdip.dynamics import GradientFlow as GradientFlow
from jaxdip.dynamics import Linearised as Linearised
from jaxdip.dynamics import Optax as Optax
from jaxdip.dynamics import Order as Order
from jaxdip.dynamics import Progress as Progress
from jaxdip.dynamics import convergence_order as convergence_order
from jaxdip.dynamics import gap as gap
from jaxdip.dynamics import integrate as integrate
from jaxdip.dynamics import iterate as iterate
from jaxdip.dynamics import linearised as linearised
from jaxdip.generators import MLP as MLP
from jaxdip.generators import Linear as Linear
from jaxdip.generators import TwoLayer as TwoLayer
from jaxdip.generators import on_sphere as on_sphere
from jaxdip.problem import Lift as Lift
from jaxdip.problem import Measurement as Measurement
from jaxdip.problem import Problem as Problem
from jaxdip.problem import Reduction as Reduction
from jaxdip.problem import gradient_lipschitz as gradient_lipschitz
from jaxdip.problem import jacobian_sigma_min as jacobian_sigma_min
from jaxdip.problem import measure as measure
from jaxdip.problem import observables as observables
from jaxdip.problem import reduce as reduce

__version__ = "0.1.0"

# Loaded on first use, so that `import jaxdip` stays light: they bring matplotlib and file formats.
_LAZY = ("imaging", "plot")


def __getattr__(name: str):
    if name in _LAZY:
        return importlib.import_module(f"jaxdip.{name}")
    raise AttributeError(f"module 'jaxdip' has no attribute {name!r}")


def __dir__():
    return [*globals(), *_LAZY]
