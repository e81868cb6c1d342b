"""The rules by which gradient descent chooses its step sizes, by name."""

from jaxdip.dynamics._armijo import Armijo as Armijo
from jaxdip.dynamics._constant_step import Constant as Constant
from jaxdip.dynamics._constant_step import InverseL as InverseL
from jaxdip.dynamics._schedule import Schedule as Schedule
from jaxdip.dynamics._schedule import Table as Table
from jaxdip.dynamics._step_size import AbstractStepSize as AbstractStepSize
