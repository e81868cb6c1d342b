"""The events at which a run can end, or whose first time it notes, by name."""

from jaxdip.dynamics._event import AbstractEvent as AbstractEvent
from jaxdip.dynamics._event import LossAbove as LossAbove
from jaxdip.dynamics._event import LossBelow as LossBelow
from jaxdip.dynamics._event import ResidualBelow as ResidualBelow
from jaxdip.dynamics._event import When as When
from jaxdip.dynamics._event import WithinNoise as WithinNoise
