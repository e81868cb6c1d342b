"""Stopping rules: when to end a run that would fit the noise if it went on.

| rule | needs | chooses | keeps |
|---|---|---|---|
| `Discrepancy(noise_norm, tau)` | ‖ε‖ | the first step with ‖F(x) − y‖ ≤ τ‖ε‖ | nothing |
| `TheoremTime(t)` | a certificate | the first step at time t* | nothing |
| `WindowedVariance(W, patience)` | nothing | the least variance of W outputs | W images |
| `ExponentialVariance(a, patience)` | nothing | the least moving variance | one image |
| `HeldOut(fraction)` | a part of y | the least error on entries not fitted | nothing |
| `Sure(noise, probes=)` | σ | the least estimated risk | a run a probe |
| `Plateau(window, relative)` | nothing | a loss that stays | nothing |
| `Oracle()` | x̄ | the least ‖x − x̄‖ | nothing |

`a & b` fires once both have, `a | b` once either has.
"""

from jaxdip.stopping._base import AbstractStopping as AbstractStopping
from jaxdip.stopping._base import Seen as Seen
from jaxdip.stopping._combination import Combination as Combination
from jaxdip.stopping._discrepancy import Discrepancy as Discrepancy
from jaxdip.stopping._exponential_variance import ExponentialVariance as ExponentialVariance
from jaxdip.stopping._held_out import HeldOut as HeldOut
from jaxdip.stopping._oracle import Oracle as Oracle
from jaxdip.stopping._plateau import Plateau as Plateau
from jaxdip.stopping._sure import Sure as Sure
from jaxdip.stopping._theorem_time import TheoremTime as TheoremTime
from jaxdip.stopping._windowed_variance import WindowedVariance as WindowedVariance
