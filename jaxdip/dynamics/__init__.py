"""The dynamics of θ: flows, their discrete counterparts, and how they are run and compared."""

from jaxdip.dynamics import events as events
from jaxdip.dynamics import steps as steps
from jaxdip.dynamics._balancedness import Balancedness as Balancedness
from jaxdip.dynamics._balancedness import BalancednessDrift as BalancednessDrift
from jaxdip.dynamics._balancedness import BalanceMatrix as BalanceMatrix
from jaxdip.dynamics._balancedness import BalanceMatrixDrift as BalanceMatrixDrift
from jaxdip.dynamics._balancedness import OrthogonalDrift as OrthogonalDrift
from jaxdip.dynamics._checkpoint import Checkpoint as Checkpoint
from jaxdip.dynamics._checkpoint import check_resumable as check_resumable
from jaxdip.dynamics._checkpoint import load_checkpoint as load_checkpoint
from jaxdip.dynamics._compare import compare as compare
from jaxdip.dynamics._comparison import Comparison as Comparison
from jaxdip.dynamics._dense import Dense as Dense
from jaxdip.dynamics._descent import AbstractDescent as AbstractDescent
from jaxdip.dynamics._energy import Energy as Energy
from jaxdip.dynamics._flow import AbstractFlow as AbstractFlow
from jaxdip.dynamics._gap import Gap as Gap
from jaxdip.dynamics._gap import gap as gap
from jaxdip.dynamics._gradient_descent import GradientDescent as GradientDescent
from jaxdip.dynamics._gradient_flow import GradientFlow as GradientFlow
from jaxdip.dynamics._igahd import IGAHD as IGAHD
from jaxdip.dynamics._igahd_backtracking import IGAHDBacktracking as IGAHDBacktracking
from jaxdip.dynamics._igahd_forward import IGAHDForward as IGAHDForward
from jaxdip.dynamics._igahd_strongly_convex import IGAHDStronglyConvex as IGAHDStronglyConvex
from jaxdip.dynamics._igahd_vanishing import IGAHDVanishing as IGAHDVanishing
from jaxdip.dynamics._integrate import integrate as integrate
from jaxdip.dynamics._integrate_stochastic import integrate_stochastic as integrate_stochastic
from jaxdip.dynamics._isehd import ISEHD as ISEHD
from jaxdip.dynamics._iterate import iterate as iterate
from jaxdip.dynamics._lbfgs import LBFGS as LBFGS
from jaxdip.dynamics._levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
from jaxdip.dynamics._linearised import Linearised as Linearised
from jaxdip.dynamics._linearised import linearised as linearised
from jaxdip.dynamics._lipschitz_along import lipschitz_along as lipschitz_along
from jaxdip.dynamics._modified_gradient_flow import ModifiedGradientFlow as ModifiedGradientFlow
from jaxdip.dynamics._modified_isehd import ModifiedISEHD as ModifiedISEHD
from jaxdip.dynamics._moment import AbstractMotionObservable as AbstractMotionObservable
from jaxdip.dynamics._moment import Moment as Moment
from jaxdip.dynamics._optax import Optax as Optax
from jaxdip.dynamics._order import Order as Order
from jaxdip.dynamics._order import convergence_order as convergence_order
from jaxdip.dynamics._path_length import PathLength as PathLength
from jaxdip.dynamics._path_length import Travelled as Travelled
from jaxdip.dynamics._path_length import with_path_length as with_path_length
from jaxdip.dynamics._record_times import log_steps as log_steps
from jaxdip.dynamics._record_times import log_times as log_times
from jaxdip.dynamics._run import Progress as Progress
from jaxdip.dynamics._scales import Scales as Scales
from jaxdip.dynamics._small_noise_heun import SmallNoiseHeun as SmallNoiseHeun
from jaxdip.dynamics._smoothing import SmoothingError as SmoothingError
from jaxdip.dynamics._smoothing import smoothing_error as smoothing_error
from jaxdip.dynamics._stable_step import StableStep as StableStep
from jaxdip.dynamics._stable_step import largest_stable_step as largest_stable_step
from jaxdip.dynamics._stochastic_gradient_descent import (
    StochasticGradientDescent as StochasticGradientDescent,
)
from jaxdip.dynamics._stochastic_gradient_flow import (
    StochasticGradientFlow as StochasticGradientFlow,
)
from jaxdip.dynamics._weak_gap import WeakGap as WeakGap
from jaxdip.dynamics._weak_gap import weak_gap as weak_gap
