r"""Losses, each with the desingularizing function of its Kurdyka–Łojasiewicz inequality.

| loss | L(v) | ψ(s) | holds |
|---|---|---|---|
| `MSE(w)` | w‖v − y‖² | √(s/w) | everywhere |
| `WeightedMSE(q)`, `Mahalanobis(Q)` | ½ r*Qr | √(2s/λ_min) | everywhere |
| `Power(p)` | ‖v − y‖^{2(p+1)}/(2(p+1)) | (2(p+1)s)^{1/(2(p+1))} | everywhere |
| `Lq(q)`, q > 1 | (1/q) Σ\|r\|^q | (qs)^{1/q}/K | everywhere |
| `LogCosh` | Σ ln cosh r | arccosh(eˢ) | everywhere |
| `Huber(δ)` | Σ h_δ(r) | √(2s), then (s + δ²/2)/δ | everywhere |
| `KullbackLeibler` | Σ y ln(y/v) − y + v | Y(−W₋₁(−e^{−1−s/Y}) − 1) | v > 0 |
| `ReverseKullbackLeibler` | Σ v ln(v/y) − v + y | inverse of (Y + u) ln(1 + u/Y) − u | v > 0 |
| `CrossEntropy` | Bernoulli, minus entropy | √(2s/μ) | 0 < v < 1 |
| `SoftmaxCrossEntropy(δ)` | KL(q ‖ softmax v) | √(2s/δ) | min softmax(v) ≥ δ |
| `L1` | Σ\|r\| | s | not smooth |
"""

from jaxdip.losses._base import AbstractDesingularizer as AbstractDesingularizer
from jaxdip.losses._base import AbstractLoss as AbstractLoss
from jaxdip.losses._cross_entropy import CrossEntropy as CrossEntropy
from jaxdip.losses._cross_entropy import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from jaxdip.losses._kullback_leibler import KullbackLeibler as KullbackLeibler
from jaxdip.losses._lq import L1 as L1
from jaxdip.losses._lq import Lq as Lq
from jaxdip.losses._power import Power as Power
from jaxdip.losses._power_desingularizer import PowerDesingularizer as PowerDesingularizer
from jaxdip.losses._reverse_kullback_leibler import (
    ReverseKullbackLeibler as ReverseKullbackLeibler,
)
from jaxdip.losses._robust import Huber as Huber
from jaxdip.losses._robust import LogCosh as LogCosh
from jaxdip.losses._separable import separable as separable
from jaxdip.losses._smooth_l1 import SmoothL1 as SmoothL1
from jaxdip.losses._squared import MSE as MSE
from jaxdip.losses._squared import Mahalanobis as Mahalanobis
from jaxdip.losses._squared import WeightedMSE as WeightedMSE
