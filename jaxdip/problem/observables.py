"""The observables a trajectory can record, and the `Snapshot` that each of them looks at."""

from jaxdip.problem._hessian_norm import HessianNorm as HessianNorm
from jaxdip.problem._observables import AbstractObservable as AbstractObservable
from jaxdip.problem._observables import Custom as Custom
from jaxdip.problem._observables import GradientNorm as GradientNorm
from jaxdip.problem._observables import Loss as Loss
from jaxdip.problem._observables import ParameterDistance as ParameterDistance
from jaxdip.problem._observables import Prediction as Prediction
from jaxdip.problem._observables import PredictionError as PredictionError
from jaxdip.problem._observables import ResidualNorm as ResidualNorm
from jaxdip.problem._observables import Signal as Signal
from jaxdip.problem._observables import SignalError as SignalError
from jaxdip.problem._observables import Snapshot as Snapshot
