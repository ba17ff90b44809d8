"""How often a job has taken its worker down with it.

A job that kills its worker cannot say so. So each body leaves a row before it starts, which says "lost", and takes it
away when it ends in any way that it controls. Rows that stay are losses. They are kept under the job's business
identity: the same work in another message has no new budget.
"""

import logging
import os
import time
import uuid

import sqlalchemy as sa

from reference_worker.database import DOWN, Database, metadata

_log = logging.getLogger(__name__)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("delivery_id", sa.String(32), primary_key=True),
    sa.Column("identity", sa.String(255), nullable=False, index=True),
    sa.Column("message_id", sa.String(255), nullable=False),
    sa.Column("running_on", sa.String(255), nullable=False, index=True),
    sa.Column("process_id", sa.Integer, nullable=False),
    sa.Column("is_superseded", sa.Boolean, nullable=False),
    sa.Column("runs_until", sa.Float, nullable=False),
)


class Deliveries:
    """`node` names one life of one worker: a worker that is started again under the same name is another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ends_unsaved: list[str] = []
        self.node = f"pid-{os.getpid()}"

    def begin(self, identity: str, *, message_id: str, hard_limit_seconds: float) -> str:
        """Count a loss until told otherwise; committed when this returns.

        :raises sqlalchemy.exc.SQLAlchemyError: nothing is counted, the body must not start
        """
        delivery_id = uuid.uuid4().hex
        with self._database.writing() as connection:
            connection.execute(
                sa.update(deliveries).where(deliveries.c.message_id == _kept(message_id)).values(is_superseded=True)
            )
            connection.execute(
                sa.insert(deliveries).values(
                    delivery_id=delivery_id,
                    identity=identity,
                    message_id=_kept(message_id),
                    running_on=self.node,
                    process_id=os.getpid(),
                    is_superseded=False,
                    runs_until=time.time() + hard_limit_seconds,
                )
            )
            for ended in self._ends_unsaved:
                connection.execute(sa.delete(deliveries).where(deliveries.c.delivery_id == ended))
        self._ends_unsaved.clear()
        return delivery_id

    def end(self, delivery_id: str) -> None:
        """The body came to a controlled end. With the database down it is saved with this process's next body."""
        try:
            with self._database.writing() as connection:
                connection.execute(sa.delete(deliveries).where(deliveries.c.delivery_id == delivery_id))
        except Exception:  # the body is over, and its books must not make a failure of it
            self._ends_unsaved.append(delivery_id)
            _log.warning("the end of a body could not be saved yet; it is saved with the next one", exc_info=True)

    def close(self, identity: str) -> None:
        """The job is done or given up: whatever was lost on the way, its budget starts anew.

        :raises sqlalchemy.exc.OperationalError: the database is down
        """
        with self._database.writing() as connection:
            connection.execute(sa.delete(deliveries).where(deliveries.c.identity == identity))

    def losses(self, identity: str, *, message_id: str = "") -> int:
        """How many bodies of this job have not come back.

        With a message id, a body of *another* message is only missed once its hard limit has passed: until then it may
        simply be running. One of this message has been lost: the broker would not hand it out again otherwise.

        :raises sqlalchemy.exc.OperationalError: the database is down
        """
        lost = deliveries.c.identity == identity
        if message_id:
            lost &= (deliveries.c.message_id == _kept(message_id)) | (deliveries.c.runs_until < time.time())
        with self._database.reading() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).where(lost)) or 0)

    def is_current(self, message_id: str, *, process_id: int | None) -> bool:
        """Whether the body that runs in this process of this node is the last that was begun of its message.

        False where another delivery has begun since, or has ended the job, and where the body never began or has been
        given back: then there is, or was, somebody else who answers for the job.

        :raises sqlalchemy.exc.OperationalError: the database is down
        """
        current = (
            (deliveries.c.message_id == _kept(message_id))
            & (deliveries.c.running_on == self.node)
            & (deliveries.c.process_id == process_id)
            & sa.not_(deliveries.c.is_superseded)
        )
        with self._database.reading() as connection:
            return bool(connection.scalar(sa.select(sa.func.count()).where(current)))

    def give_back(self) -> None:
        """Count no loss for what runs on this node now: it is being shut down, and may be killed while it works.

        What was lost on it before stays counted: those processes are not there any more. Bodies that end in control
        afterwards take nothing back twice: their rows are gone.
        """
        here = deliveries.c.running_on == self.node
        try:
            with self._database.writing() as connection:
                processes = connection.scalars(sa.select(deliveries.c.process_id).where(here).distinct()).all()
                running = [process for process in processes if _is_there(process)]
                connection.execute(sa.delete(deliveries).where(here, deliveries.c.process_id.in_(running)))
        except DOWN:
            _log.warning("what this worker runs counts as lost if it is killed now", exc_info=True)


def _is_there(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kept(message_id: str) -> str:
    """A message id is whatever its sender wrote; this is something that any database can keep."""
    return ascii(message_id)[1:-1][:255]
