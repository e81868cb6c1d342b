"""Ready-made trials for sweeps: from a key and a point of the grid to arrays."""

from jaxdip.trials._buckets import rows_bucket as rows_bucket
from jaxdip.trials._buckets import width_bucket as width_bucket
from jaxdip.trials._fused_two_layer import FusedTwoLayerTrial as FusedTwoLayerTrial
from jaxdip.trials._network import NetworkTrial as NetworkTrial
from jaxdip.trials._result_codes import RESULT_CODES as RESULT_CODES
from jaxdip.trials._two_layer import TwoLayerTrial as TwoLayerTrial
