"""The faults, one a file: entering hurts, leaving heals.

A fault's fields are its parameters and its JSON. To add one, write the file and add it to `harness/faults/single.py`.
"""

from typing import TypeAlias, get_args

from harness.faults.answer_errors import AnswerErrors
from harness.faults.crash_host import CrashHost
from harness.faults.crash_loop import CrashLoop
from harness.faults.cut_off_host import CutOffHost
from harness.faults.deliver_again import DeliverAgain
from harness.faults.deploy import Deploy
from harness.faults.double_sidecar import DoubleSidecar
from harness.faults.drip_reply import DripReply
from harness.faults.enqueue_as_before import EnqueueAsBefore
from harness.faults.exhaust_files import ExhaustFiles
from harness.faults.exhaust_memory import ExhaustMemory
from harness.faults.exhaust_processes import ExhaustProcesses
from harness.faults.feed_poison import FeedPoison
from harness.faults.feed_spoilt import FeedSpoilt
from harness.faults.fill_disk import FillDisk
from harness.faults.freeze_child import FreezeChild
from harness.faults.freeze_worker import FreezeWorker
from harness.faults.hide_dead_letters import HideDeadLetters
from harness.faults.hide_names import HideNames
from harness.faults.kill_sidecar import KillSidecar
from harness.faults.kill_worker import KillWorker
from harness.faults.late_reply import LateReply
from harness.faults.lose_reply import LoseReply
from harness.faults.move_clock import MoveClock
from harness.faults.protect_disk import ProtectDisk
from harness.faults.refuse_connections import RefuseConnections
from harness.faults.reset_connection import ResetConnection
from harness.faults.restart_broker import RestartBroker
from harness.faults.silence import Silence
from harness.faults.single import SingleFault
from harness.faults.slow_broker import SlowBroker
from harness.faults.starve_host import StarveHost
from harness.faults.stop_draining import StopDraining
from harness.faults.submit_again import SubmitAgain
from harness.faults.together import Together
from harness.faults.work_as_before import WorkAsBefore

Fault: TypeAlias = SingleFault | Together

CATALOGUE: tuple[type[Fault], ...] = (*get_args(SingleFault), Together)

__all__ = [
    "CATALOGUE",
    "AnswerErrors",
    "CrashHost",
    "CrashLoop",
    "CutOffHost",
    "DeliverAgain",
    "Deploy",
    "DoubleSidecar",
    "DripReply",
    "EnqueueAsBefore",
    "ExhaustFiles",
    "ExhaustMemory",
    "ExhaustProcesses",
    "Fault",
    "FeedPoison",
    "FeedSpoilt",
    "FillDisk",
    "FreezeChild",
    "FreezeWorker",
    "HideDeadLetters",
    "HideNames",
    "KillSidecar",
    "KillWorker",
    "LateReply",
    "LoseReply",
    "MoveClock",
    "ProtectDisk",
    "RefuseConnections",
    "ResetConnection",
    "RestartBroker",
    "Silence",
    "SlowBroker",
    "StarveHost",
    "StopDraining",
    "SubmitAgain",
    "Together",
    "WorkAsBefore",
]
