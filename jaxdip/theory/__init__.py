"""The theorems: hypotheses in, certificate and bound curves out; one theorem a file."""

from jaxdip.theory._certificate import AbstractBound as AbstractBound
from jaxdip.theory._certificate import Certificate as Certificate
from jaxdip.theory._certificate import Condition as Condition
from jaxdip.theory._near_linear import NearLinearBound as NearLinearBound
from jaxdip.theory._near_linear import near_linear as near_linear
