"""Every toxic, one a file. A new one is its file and a line here."""

from harness.services.proxy.toxics.bandwidth import Bandwidth
from harness.services.proxy.toxics.base import Toxic
from harness.services.proxy.toxics.fail_first import FailFirst
from harness.services.proxy.toxics.half_open import HalfOpen
from harness.services.proxy.toxics.latency import Latency
from harness.services.proxy.toxics.limit_data import LimitData
from harness.services.proxy.toxics.noop import Noop
from harness.services.proxy.toxics.reset import Reset
from harness.services.proxy.toxics.reset_peer import ResetPeer
from harness.services.proxy.toxics.resp_cut_after import RespCutAfter
from harness.services.proxy.toxics.resp_cut_before import RespCutBefore
from harness.services.proxy.toxics.slicer import Slicer
from harness.services.proxy.toxics.slow_close import SlowClose
from harness.services.proxy.toxics.stall import Stall
from harness.services.proxy.toxics.timeout import Timeout

# The names, attributes and behaviour of Toxiproxy 2.12.
TOXIPROXY: tuple[type[Toxic], ...] = (
    Bandwidth,
    Latency,
    LimitData,
    Noop,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
# What it lacks.
ADDITIONAL: tuple[type[Toxic], ...] = (FailFirst, HalfOpen, Reset, RespCutAfter, RespCutBefore, Stall)

CATALOGUE: dict[str, type[Toxic]] = {toxic.name: toxic for toxic in (*TOXIPROXY, *ADDITIONAL)}
