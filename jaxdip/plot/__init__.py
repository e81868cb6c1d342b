"""Figures of results: the only place that imports matplotlib.

Every function takes arrays and returns a `matplotlib.figure.Figure` of its own. Pyplot, its global
state and the user's settings are left alone.
"""

from jaxdip.plot._certified import CertifiedRun as CertifiedRun
from jaxdip.plot._certified import certified_plot as certified_plot
from jaxdip.plot._curves import Curve as Curve
from jaxdip.plot._curves import Panel as Panel
from jaxdip.plot._curves import curves_plot as curves_plot
from jaxdip.plot._order import OrderSeries as OrderSeries
from jaxdip.plot._order import order_plot as order_plot
from jaxdip.plot._phase_diagram import phase_diagram as phase_diagram
from jaxdip.plot._report import RecoveryRun as RecoveryRun
from jaxdip.plot._report import recovery_report as recovery_report
from jaxdip.plot._save import read_config as read_config
from jaxdip.plot._save import save as save
from jaxdip.plot._stopping import stopping_plot as stopping_plot
from jaxdip.plot._strip import StripImage as StripImage
from jaxdip.plot._strip import image_grid as image_grid
from jaxdip.plot._strip import image_strip as image_strip
from jaxdip.plot._style import dynamics_style as dynamics_style
