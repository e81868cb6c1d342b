"""Training dynamics of untrained networks that solve inverse problems.

Observe y = F(x̄) + ε, fit x = g(u, θ) by driving θ with a dynamics on L_y(F(g(u, θ))).
"""

import importlib

from jaxdip import analysis as analysis
from jaxdip import generators as generators
from jaxdip import losses as losses
from jaxdip import noise as noise
from jaxdip import operators as operators
from jaxdip import stopping as stopping
from jaxdip import theory as theory
from jaxdip._certify import certify as certify
from jaxdip._evidence import Quantity as Quantity
from jaxdip._random import key_for as key_for
from jaxdip._result import RESULTS as RESULTS
from jaxdip._result import Solution as Solution
from jaxdip.analysis import Spectrum as Spectrum
from jaxdip.analysis import spectrum as spectrum
from jaxdip.dynamics import IGAHD as IGAHD
from jaxdip.dynamics import ISEHD as ISEHD
from jaxdip.dynamics import LBFGS as LBFGS
from jaxdip.dynamics import AbstractMotionObservable as AbstractMotionObservable
from jaxdip.dynamics import Balancedness as Balancedness
from jaxdip.dynamics import BalancednessDrift as BalancednessDrift
from jaxdip.dynamics import BalanceMatrix as BalanceMatrix
from jaxdip.dynamics import BalanceMatrixDrift as BalanceMatrixDrift
from jaxdip.dynamics import Checkpoint as Checkpoint
from jaxdip.dynamics import Comparison as Comparison
from jaxdip.dynamics import Dense as Dense
from jaxdip.dynamics import Energy as Energy
from jaxdip.dynamics import Gap as Gap
from jaxdip.dynamics import GradientDescent as GradientDescent
from jaxdip.dynamics import GradientFlow as GradientFlow
from jaxdip.dynamics import IGAHDBacktracking as IGAHDBacktracking
from jaxdip.dynamics import IGAHDForward as IGAHDForward
from jaxdip.dynamics import IGAHDStronglyConvex as IGAHDStronglyConvex
from jaxdip.dynamics import IGAHDVanishing as IGAHDVanishing
from jaxdip.dynamics import LevenbergMarquardt as LevenbergMarquardt
from jaxdip.dynamics import Linearised as Linearised
from jaxdip.dynamics import ModifiedGradientFlow as ModifiedGradientFlow
from jaxdip.dynamics import ModifiedISEHD as ModifiedISEHD
from jaxdip.dynamics import Moment as Moment
from jaxdip.dynamics import Optax as Optax
from jaxdip.dynamics import Order as Order
from jaxdip.dynamics import OrthogonalDrift as OrthogonalDrift
from jaxdip.dynamics import PathLength as PathLength
from jaxdip.dynamics import Progress as Progress
from jaxdip.dynamics import SmoothingError as SmoothingError
from jaxdip.dynamics import StableStep as StableStep
from jaxdip.dynamics import StochasticGradientDescent as StochasticGradientDescent
from jaxdip.dynamics import StochasticGradientFlow as StochasticGradientFlow
from jaxdip.dynamics import WeakGap as WeakGap
from jaxdip.dynamics import compare as compare
from jaxdip.dynamics import convergence_order as convergence_order
from jaxdip.dynamics import events as events
from jaxdip.dynamics import gap as gap
from jaxdip.dynamics import integrate as integrate
from jaxdip.dynamics import integrate_stochastic as integrate_stochastic
from jaxdip.dynamics import iterate as iterate
from jaxdip.dynamics import largest_stable_step as largest_stable_step
from jaxdip.dynamics import linearised as linearised
from jaxdip.dynamics import lipschitz_along as lipschitz_along
from jaxdip.dynamics import log_steps as log_steps
from jaxdip.dynamics import log_times as log_times
from jaxdip.dynamics import smoothing_error as smoothing_error
from jaxdip.dynamics import steps as steps
from jaxdip.dynamics import weak_gap as weak_gap
from jaxdip.dynamics import with_path_length as with_path_length
from jaxdip.generators import MLP as MLP
from jaxdip.generators import ConvDecoder as ConvDecoder
from jaxdip.generators import ConvTwoLayer as ConvTwoLayer
from jaxdip.generators import DeepDecoder as DeepDecoder
from jaxdip.generators import Linear as Linear
from jaxdip.generators import SkipNet as SkipNet
from jaxdip.generators import TwoLayer as TwoLayer
from jaxdip.generators import on_sphere as on_sphere
from jaxdip.problem import Lift as Lift
from jaxdip.problem import Measurement as Measurement
from jaxdip.problem import Problem as Problem
from jaxdip.problem import Reduction as Reduction
from jaxdip.problem import gradient_lipschitz as gradient_lipschitz
from jaxdip.problem import jacobian_sigma_min as jacobian_sigma_min
from jaxdip.problem import kernel_norm as kernel_norm
from jaxdip.problem import lipschitz_bound as lipschitz_bound
from jaxdip.problem import lipschitz_local as lipschitz_local
from jaxdip.problem import measure as measure
from jaxdip.problem import observables as observables
from jaxdip.problem import reduce as reduce
from jaxdip.reconstruction import Reconstruction as Reconstruction
from jaxdip.reconstruction import TiledReconstruction as TiledReconstruction
from jaxdip.reconstruction import TotalVariation as TotalVariation
from jaxdip.reconstruction import reconstruct as reconstruct
from jaxdip.reconstruction import reconstruct_tiles as reconstruct_tiles

__version__ = "0.1.0"

# Loaded on first use, so that `import jaxdip` stays light: they bring matplotlib and file formats.
_LAZY = ("experiments", "imaging", "plot", "sweeps", "trials")


def __getattr__(name: str):
    if name in _LAZY:
        return importlib.import_module(f"jaxdip.{name}")
    if name == "sweep":
        return importlib.import_module("jaxdip.sweeps").sweep
    raise AttributeError(f"module 'jaxdip' has no attribute {name!r}")


def __dir__():
    return [*globals(), *_LAZY, "sweep"]
