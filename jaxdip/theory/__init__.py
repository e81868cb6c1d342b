"""The theorems: hypotheses in, certificate and bound curves out; one theorem a file."""

from jaxdip.theory._a_posteriori import BallUsed as BallUsed
from jaxdip.theory._a_posteriori import StillKept as StillKept
from jaxdip.theory._a_posteriori import a_posteriori_loss as a_posteriori_loss
from jaxdip.theory._certificate import AbstractBound as AbstractBound
from jaxdip.theory._certificate import Certificate as Certificate
from jaxdip.theory._certificate import Condition as Condition
from jaxdip.theory._gradient_descent import certify_gradient_descent as certify_gradient_descent
from jaxdip.theory._gradient_descent import gradient_descent as gradient_descent
from jaxdip.theory._gradient_descent import nu as nu
from jaxdip.theory._gradient_flow import certify_gradient_flow as certify_gradient_flow
from jaxdip.theory._gradient_flow import gradient_flow as gradient_flow
from jaxdip.theory._gradient_flow import stopping_time as stopping_time
from jaxdip.theory._ground import Ground as Ground
from jaxdip.theory._ground import Kind as Kind
from jaxdip.theory._ground import ground as ground
from jaxdip.theory._igahd import certify_igahd as certify_igahd
from jaxdip.theory._igahd import igahd as igahd
from jaxdip.theory._isehd import certify_isehd as certify_isehd
from jaxdip.theory._isehd import isehd as isehd
from jaxdip.theory._isehd import isehd_parameters as isehd_parameters
from jaxdip.theory._near_linear import NearLinearBound as NearLinearBound
from jaxdip.theory._near_linear import near_linear as near_linear
from jaxdip.theory._recovery import RecoveryBound as RecoveryBound
from jaxdip.theory._recovery import with_recovery as with_recovery
