"""Numbers that a dynamics is made of: kept as arrays, so that a new value never recompiles."""

from jaxdip._numbers import count as count
from jaxdip._numbers import fraction as fraction
from jaxdip._numbers import given as given
from jaxdip._numbers import number as number
from jaxdip._numbers import whole as whole
