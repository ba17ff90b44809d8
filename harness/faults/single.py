"""Every fault that is not made of others: the one list to add to."""

from typing import TypeAlias

from harness.faults.answer_errors import AnswerErrors
from harness.faults.deliver_again import DeliverAgain
from harness.faults.drip_reply import DripReply
from harness.faults.feed_poison import FeedPoison
from harness.faults.kill_worker import KillWorker
from harness.faults.late_reply import LateReply
from harness.faults.lose_reply import LoseReply
from harness.faults.reset_connection import ResetConnection
from harness.faults.silence import Silence
from harness.faults.submit_again import SubmitAgain

SingleFault: TypeAlias = (
    KillWorker
    | DeliverAgain
    | SubmitAgain
    | FeedPoison
    | AnswerErrors
    | LoseReply
    | Silence
    | DripReply
    | LateReply
    | ResetConnection
)
