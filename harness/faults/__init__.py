"""The faults, one a file: entering hurts, leaving heals.

A fault's fields are its parameters and its JSON. To add one, write the file and add it to `harness/faults/single.py`.
"""

from typing import TypeAlias, get_args

from harness.faults.answer_errors import AnswerErrors
from harness.faults.deliver_again import DeliverAgain
from harness.faults.drip_reply import DripReply
from harness.faults.feed_poison import FeedPoison
from harness.faults.kill_worker import KillWorker
from harness.faults.late_reply import LateReply
from harness.faults.lose_reply import LoseReply
from harness.faults.reset_connection import ResetConnection
from harness.faults.silence import Silence
from harness.faults.single import SingleFault
from harness.faults.submit_again import SubmitAgain
from harness.faults.together import Together

Fault: TypeAlias = SingleFault | Together

CATALOGUE: tuple[type[Fault], ...] = (*get_args(SingleFault), Together)

__all__ = [
    "CATALOGUE",
    "AnswerErrors",
    "DeliverAgain",
    "DripReply",
    "Fault",
    "FeedPoison",
    "KillWorker",
    "LateReply",
    "LoseReply",
    "ResetConnection",
    "Silence",
    "SubmitAgain",
    "Together",
]
