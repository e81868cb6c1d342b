"""Which losses are sums over the entries of the data."""

import functools

from jaxdip.losses._base import AbstractLoss
from jaxdip.losses._cross_entropy import CrossEntropy
from jaxdip.losses._kullback_leibler import KullbackLeibler
from jaxdip.losses._lq import L1, Lq
from jaxdip.losses._reverse_kullback_leibler import ReverseKullbackLeibler
from jaxdip.losses._robust import Huber, LogCosh
from jaxdip.losses._smooth_l1 import SmoothL1
from jaxdip.losses._squared import MSE, WeightedMSE


@functools.singledispatch
def separable(loss: AbstractLoss) -> bool:
    """Whether L_y(v) = Σ_i ℓ_i(v_i, y_i), so that each entry of the data has a gradient of its own.

    False for a loss that this package does not know: register one of your own by
    `jaxdip.losses.separable.register(MyLoss, lambda loss: True)`.
    """
    return False


@separable.register(MSE)
@separable.register(WeightedMSE)
@separable.register(L1)
@separable.register(SmoothL1)
@separable.register(Lq)
@separable.register(LogCosh)
@separable.register(Huber)
@separable.register(KullbackLeibler)
@separable.register(ReverseKullbackLeibler)
@separable.register(CrossEntropy)
def _sum_over_entries(loss: AbstractLoss) -> bool:
    return True
