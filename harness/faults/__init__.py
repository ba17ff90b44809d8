"""The faults, one a file: entering hurts, leaving heals.

A fault's fields are its parameters and its JSON. To add one, write the file, add it to `Fault` and to `CATALOGUE`.
"""

from typing import TypeAlias

from harness.faults.answer_errors import AnswerErrors
from harness.faults.deliver_again import DeliverAgain
from harness.faults.feed_poison import FeedPoison
from harness.faults.kill_worker import KillWorker
from harness.faults.lose_reply import LoseReply
from harness.faults.together import Together

Fault: TypeAlias = KillWorker | DeliverAgain | FeedPoison | AnswerErrors | LoseReply | Together

CATALOGUE: tuple[type[Fault], ...] = (KillWorker, DeliverAgain, FeedPoison, AnswerErrors, LoseReply, Together)

__all__ = ["CATALOGUE", "AnswerErrors", "DeliverAgain", "Fault", "FeedPoison", "KillWorker", "LoseReply", "Together"]
