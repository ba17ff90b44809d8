"""The supervisor: a process of its own that sees every send of the processes under its filters before it leaves.

For each call it reads what is about to be sent, finds out to whom, and follows the connection's messages
(`messages.Stream`). A message with an effect is a boundary: it is numbered, written to the record, and only then
answered: let pass, or whatever an armed rule says. A call that goes to nobody of interest passes at once.

"Before" means that nothing of the message has left; "after", that all of it has and the peer has answered, while the
sender still waits in its send: the supervisor sends in its place, through a duplicate of its socket. A message that
takes several sends is stopped before the first or after the last of them.

What is read may differ from what the kernel sends when another thread of the subject changes the buffer in between:
this observes honest programs and is no security policy. Connections are told apart by their socket, not by
descriptor, so that reuse and inheritance of descriptors do not confuse them. A send that the kernel took in part is
noticed at the next send of its connection. Ancillary data and urgent data are not sent on in "after".

If the supervisor dies, every further send of the subject fails with ENOSYS; its record then lacks the last line
`Ended`, and its process has ended: whoever started it must call the run void.

Started as `python -m harness.boundaries.supervisor JSON`; controlled over a Unix socket, one JSON object a line.
"""

import contextlib
import copy
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from harness.boundaries import lines, processes, servers, sockets
from harness.boundaries.armed import Armed
from harness.boundaries.clear_text import Pages
from harness.boundaries.databases import FRAME_HEADER_BYTES, Cut, Databases, Moment, Unlock, Write
from harness.boundaries.folders import Change, Folders
from harness.boundaries.messages import Seen, Stream
from harness.boundaries.notifications import Call, Listener
from harness.boundaries.record import Boundary, Ended, Log, Part, Struck, Unseen
from harness.boundaries.rules import Delay, Fail, Kill, Process, Rule, Side, Whom
from harness.boundaries.stable import without_pids
from harness.boundaries.user_notify import (
    FCNTL,
    FDATASYNC,
    FSYNC,
    FTRUNCATE,
    NAME_FAMILY,
    PWRITE,
    SENDMMSG,
    UNLINK,
    UNLINKAT,
)
from harness.waiting import WaitedInVainError, wait_until

OTHER = "other"  # a peer that nobody has named
CONNECTIONS_MAX = 4096
SEND_SECONDS_MAX = 10.0
REPLY_SECONDS_MAX = 5.0
KILL_SECONDS_MAX = 5.0
POLL_SECONDS = 0.002
ORPHAN_SECONDS_MAX = 1.0  # how long a child that waits in a send may outlive its main process
GREETING_SECONDS_MAX = 10.0
_NEVER_PARTIAL_BYTES = 2048  # the kernel takes this little whole, unless more was waiting before it
_ANCESTORS_MAX = 64


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    record: str  # path of the record to write
    listeners: str  # path of the socket at which `user_notify` asks
    control: str  # path of the control socket to listen on
    origin: float  # CLOCK_MONOTONIC at which the run began
    dependencies: dict[str, int | str] = {}  # name of each known peer -> its TCP port, or the path of its Unix socket
    databases: dict[str, str] = {}  # name of each SQLite database whose commits are boundaries -> its path
    folders: dict[str, str] = {}  # name of each directory in which changes of names are boundaries -> its path
    clear_texts: str = ""  # directory in which processes tell what they encrypt
    lines: str = ""  # directory in which processes tell their lines; it is there only while they are asked for
    own: tuple[str, ...] = ()  # directories of the harness's own: what is written or said there changes nothing


Effect: TypeAlias = bytes | Callable[[], int] | None
"""What is done in the place of a process that is struck after it: sent, made, or nothing, where it has been already."""


class Connection:
    """One socket of the subject's, for as long as it is remembered."""

    def __init__(self, dependency: str, peer: str) -> None:
        self.dependency = dependency
        self.peer = peer
        self.stream = Stream()
        self.boundary: Boundary | None = None  # the latest
        self.senders: dict[int, Sender] = {}  # by thread; a thread's number is not used again on the same connection
        self.watched = False  # whether a send may be taken in part, so that the kernel's count must be asked
        self.undo: Undo | None = None


class Sender(msgspec.Struct, frozen=True):
    """Who sends, its main process or 0, and how many of these were known when that was found out."""

    tgid: int
    process: Process
    main: int
    mains: int


class Undo(msgspec.Struct, frozen=True):
    """The state before a send of which perhaps only a part was taken."""

    stream: Stream
    payload: bytes
    taken_before: int
    clear: bytes | None


class Supervisor:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = Log(settings.record, settings.origin)
        self._names = {port: name for name, port in settings.dependencies.items()}
        self._memory = processes.Memory()
        self._databases = Databases(settings.databases)
        self._folders = Folders(settings.folders)
        self._pages = Pages(settings.clear_texts)
        self._files: dict[str, Connection] = {}  # by name of the database or folder
        self._connections: dict[str, Connection | None] = {}  # None: a socket that is of no interest
        self._epoll = select.epoll()
        self._listeners: dict[int, Listener] = {}
        self._stop = os.eventfd(0)
        self._epoll.register(self._stop, select.EPOLLIN)
        self._armed = Armed()
        self._mains: frozenset[int] = frozenset()  # never changed, only replaced: several threads look
        self._welcomed = threading.Lock()
        self._changed = threading.Lock()  # guards what follows
        self._doomed: dict[int, list[tuple[Listener, Call]]] = {}  # process -> what its other threads were to send
        self._unnamed: Counter[int] = Counter()  # by thread, since its latest boundary
        self._unseen = 0
        self._calls = 0

    # --- control ---

    def command(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("op"):
            case "arm":
                self._armed.arm(msgspec.convert(request["rule"], Rule))
            case "disarm":
                self._armed.disarm(request["rule"])
            case "reset":
                self._armed.reset()
                self._folders.reset()
            case "main":
                self._add_main(int(request["pid"]))
            case "struck":
                struck = self._armed.struck(request["rule"], within=float(request["within"]))
                return {"struck": None if struck is None else msgspec.to_builtins(struck)}
            case "status":
                return {"calls": self._calls, "boundaries": self._armed.boundaries, "unseen": self._unseen}
            case other:
                return {"error": f"unknown command {other!r}"}
        return {}

    def _add_main(self, pid: int) -> None:
        with self._welcomed:
            self._mains |= {pid}

    def stop(self) -> None:
        os.eventfd_write(self._stop, 1)

    def welcome(self, link: socket.socket) -> None:
        """One process that wants to come under the supervisor: see `user_notify.install`."""
        credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = struct.unpack("3i", credentials)[0]
        link.settimeout(GREETING_SECONDS_MAX)
        role = link.recv(64).decode(errors="replace").strip()
        if role not in {"main", "zygote"}:
            link.sendall(f"there is no role {role!r}: say main or zygote\n".encode())
            return
        try:
            os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY))
        except OSError as error:
            link.sendall(f"the supervisor may not read the memory of process {pid}: {error.strerror}\n".encode())
            return
        link.sendall(b"go files\n" if self._databases or self.settings.folders else b"go\n")
        link.recv(1)  # ends when the filter is there, or the process is not
        try:
            descriptor = processes.take_listener(pid)
        except OSError as error:  # the process cannot tell: it can send nothing any more
            self.log.write(Unseen(at=self.log.now(), pid=pid, reason=f"its listener could not be taken: {error}"))
            return
        if role == "main":
            self._add_main(pid)
        self._listeners[descriptor] = Listener(descriptor)
        self._epoll.register(descriptor, select.EPOLLIN)
        link.sendall(b"taken\n")

    # --- calls ---

    def serve(self) -> None:
        """Until stopped."""
        while True:
            for descriptor, events in self._epoll.poll():
                if descriptor == self._stop:
                    self.log.write(Ended(at=self.log.now(), calls=self._calls))
                    return
                listener = self._listeners[descriptor]
                if events & select.EPOLLIN:
                    call = listener.receive()
                    if call is not None:
                        self._calls += 1
                        self._answer(listener, call)
                elif events & (select.EPOLLHUP | select.EPOLLERR):  # the last process under it has ended
                    self._epoll.unregister(descriptor)
                    del self._listeners[descriptor]

    def _answer(self, listener: Listener, call: Call) -> None:
        try:
            passes = self._look(listener, call)
        except Exception as error:  # what is looked at is hostile: it must neither end nor stall the supervisor
            passes = not self._is_held_back(listener, call)
            if listener.is_valid(call):
                self._unseen += 1
                self.log.write(Unseen(at=self.log.now(), pid=call.pid, reason=f"{type(error).__name__}: {error}"))
        if passes:
            listener.let_pass(call)

    def _look(self, listener: Listener, call: Call) -> bool:
        """Whether the call passes; else a thread has it and will answer."""
        if call.pid == 0:
            raise processes.CannotReadError("the sender is in a PID namespace that the supervisor cannot see")
        if call.number in {*NAME_FAMILY, FSYNC, FDATASYNC}:
            return self._look_at_name(listener, call)
        descriptor = call.arguments[0] & 0xFFFFFFFF
        link = processes.descriptor_link(call.pid, descriptor)
        if not link.startswith("socket:"):
            return self._look_at_file(listener, call, link)
        connection = self._connection(link, call.pid, descriptor)
        if connection is None:
            return True
        payload = self._memory.payload(call)
        if not listener.is_valid(call):
            return False  # its sender is gone, and what was read may be somebody else's
        if not payload:
            return True
        clear = None
        if connection.stream.is_encrypted:
            clear = self._pages.read(processes.process_of(call.pid), call.pid, descriptor)
        self._account(connection, call.pid, descriptor, payload, clear)
        seen = connection.stream.feed(payload, clear=clear)
        finished = connection.boundary if seen.ended else None
        begun = None
        if seen == Seen() and connection.stream.has_costly_reads:
            self._unnamed[call.pid] += 1
        if seen.begun:
            begun = self._number(connection, call, seen.begun, Part.BEGIN if seen.open else Part.WHOLE)
            connection.boundary = begun
        return self._decide(listener, call, begun, finished, payload)

    def _look_at_file(self, listener: Listener, call: Call, path: str) -> bool:
        """As `_look`, for a call that concerns a file's content: a commit of a database, a write in a folder."""
        file = self._databases.file(path)
        change = self._folders.write(self._memory, call, path) if file is None else None
        if change is not None and listener.is_valid(call):
            return self._decide_on_change(listener, call, change)
        if file is None and call.number != FCNTL and self._is_file(path):
            self._unnamed[call.pid] += 1
        act = None if file is None else self._act_on_file(call)
        if file is None or act is None or not listener.is_valid(call):
            return True
        moment = self._databases.see(processes.process_of(call.pid), file, act)
        if moment is None:
            return True
        writer = self._files.setdefault(file.database, Connection(file.database, path))
        if moment is Moment.COMMITTED:
            return self._decide(listener, call, None, writer.boundary, None)
        writer.boundary = self._number(writer, call, f"COMMIT {file.database}", Part.BEGIN)
        return self._decide(listener, call, writer.boundary, None, None)

    def _look_at_name(self, listener: Listener, call: Call) -> bool:
        """As `_look`, for a call that concerns a file's name or its place on the disk."""
        change = self._folders.change(self._memory, call)
        if change is None and call.number in {UNLINK, UNLINKAT}:
            path = self._memory.text(call.pid, call.arguments[call.number == UNLINKAT])
            return self._look_at_file(listener, call, path)
        if change is None:
            self._unnamed[call.pid] += call.number in NAME_FAMILY
            return True
        if not listener.is_valid(call):
            return False
        return self._decide_on_change(listener, call, change)

    def _decide_on_change(self, listener: Listener, call: Call, change: Change) -> bool:
        folder = self._files.setdefault(change.folder, Connection(change.folder, self.settings.folders[change.folder]))
        return self._decide(listener, call, self._number(folder, call, change.name, Part.WHOLE), None, change.make)

    def _is_file(self, path: str) -> bool:
        """Of the subject's own: no pipe, no terminal."""
        if not path.startswith("/"):
            return bool(path) and not path.startswith(("pipe:", "anon_inode:", "socket:"))
        is_device = path.startswith("/dev/") and not path.startswith("/dev/shm/")  # noqa: S108 - not used, only named
        return not is_device and not self._is_own(path)

    def _is_own(self, path: str) -> bool:
        return any(path.startswith(f"{directory}/") for directory in self.settings.own)

    def _act_on_file(self, call: Call) -> Write | Cut | Unlock | None:
        _, second, third, fourth, *_ = call.arguments
        match call.number:
            case _ if call.number in {UNLINK, UNLINKAT}:
                return Cut()
            case _ if call.number == FTRUNCATE:
                return Cut() if second == 0 else None
            case _ if call.number == PWRITE:
                beginning = self._memory.read(call.pid, second, min(third, FRAME_HEADER_BYTES))
                return Write(fourth, third, beginning)
            case _ if call.number == FCNTL:
                kind = int.from_bytes(self._memory.read(call.pid, third, 2), "little")
                return Unlock() if kind == fcntl.F_UNLCK else None
        return None

    def _decide(
        self, listener: Listener, call: Call, begun: Boundary | None, finished: Boundary | None, effect: Effect
    ) -> bool:
        """Write down what begins and ends with this call, and strike if that is armed."""
        if begun is not None and self._is_doomed(listener, call, begun):
            return False
        if finished is not None:
            finished = msgspec.structs.replace(finished, at=self.log.now(), part=Part.END, pid=call.pid)
        for boundary in (finished, begun):
            if boundary is not None:
                self.log.write(boundary)
        met = self._armed.met(begun=begun, finished=finished)
        if met is None:
            return True
        rule, struck_at = met
        if _kills_sender(rule, struck_at):
            with self._changed:
                self._doomed[struck_at.tgid] = []
        threading.Thread(target=self._strike, args=(listener, call, *met, effect), daemon=True).start()
        return False

    def _is_doomed(self, listener: Listener, call: Call, boundary: Boundary) -> bool:
        """Whether its process is being killed: another of its threads may have read the answer, and would go on."""
        with self._changed:
            held = self._doomed.get(boundary.tgid)
            if held is not None:
                held.append((listener, call))
            return held is not None

    def _is_held_back(self, listener: Listener, call: Call) -> bool:
        """Whether a process is being killed, perhaps the caller: of one that dies it may be that nothing can be read.

        A call that passed would still be carried out, by a thread that has yet to notice that it is dead.
        """
        with self._changed:
            for held in self._doomed.values():
                held.append((listener, call))
                return True
        return False

    def _connection(self, inode: str, pid: int, descriptor: int) -> Connection | None:
        if inode in self._connections:
            known = self._connections[inode] = self._connections.pop(inode)  # now the latest used
            return known
        peer = dependency = ""
        with processes.duplicate_socket(pid, descriptor) as duplicate:
            if duplicate.type == socket.SOCK_STREAM:
                try:
                    peer, dependency = self._peer(duplicate)
                except OSError:
                    return None  # not connected yet: asked again at its next send
        while len(self._connections) >= CONNECTIONS_MAX:
            self._connections.pop(next(iter(self._connections)))
        found = self._connections[inode] = Connection(dependency, peer) if peer else None
        return found

    def _peer(self, link: socket.socket) -> tuple[str, str]:
        """Address and name of the other end; empty for what is of no interest: pairs of sockets, the harness's own."""
        address = link.getpeername()
        if link.family == socket.AF_UNIX:
            path = os.fsdecode(address)
            is_of_interest = path in self._names or (path and not self._is_own(path))
            return (path, self._names.get(path, OTHER)) if is_of_interest else ("", "")
        host, port = address[:2]
        return f"{host}:{port}", self._names.get(port, OTHER)

    def _account(self, connection: Connection, pid: int, descriptor: int, payload: bytes, clear: bytes | None) -> None:
        """Take back what the previous send of this connection was thought to send and did not."""
        connection.watched = connection.watched or len(payload) > _NEVER_PARTIAL_BYTES
        if not connection.watched:
            return
        with processes.duplicate_socket(pid, descriptor) as duplicate:
            if duplicate.family == socket.AF_UNIX:
                return  # the kernel does not count there
            taken = sockets.bytes_taken(duplicate)
        if (undo := connection.undo) is not None:
            sent = taken - undo.taken_before
            if 0 <= sent < len(undo.payload):
                connection.stream = undo.stream
                connection.stream.feed(undo.payload[:sent], clear=undo.clear)
        connection.undo = Undo(copy.deepcopy(connection.stream), payload, taken, clear)

    def _number(self, connection: Connection, call: Call, name: str, part: Part) -> Boundary:
        mains = self._mains
        sender = connection.senders.get(call.pid)
        if sender is None or sender.mains != len(mains):
            tgid = processes.process_of(call.pid)
            sender = Sender(tgid, *self._family(tgid), len(mains))
            connection.senders[call.pid] = sender
        name = without_pids(name, sender.tgid, sender.main)
        seq, occurrence = self._armed.number(sender.process, connection.dependency, name)
        return Boundary(
            seq=seq,
            at=self.log.now(),
            name=name,
            occurrence=occurrence,
            part=part,
            process=sender.process,
            pid=call.pid,
            tgid=sender.tgid,
            dependency=connection.dependency,
            peer=connection.peer,
            where=lines.read(self.settings.lines, sender.tgid, call.pid) if self.settings.lines else "",
            unnamed=self._unnamed.pop(call.pid, 0),
        )

    def _family(self, tgid: int) -> tuple[Process, int]:
        """What a process is, and its main process or 0."""
        if tgid in self._mains:
            return Process.MAIN, tgid
        ancestor = tgid
        for _ in range(_ANCESTORS_MAX):
            ancestor = processes.parent_of(ancestor)
            if ancestor in self._mains:
                return Process.CHILD, ancestor
            if ancestor <= 1:
                break
        return Process.OTHER, 0

    # --- striking ---

    def _strike(self, listener: Listener, call: Call, rule: Rule, boundary: Boundary, effect: Effect) -> None:
        struck = Struck(seq=boundary.seq, at=0.0, rule=rule.rule, side=rule.side)
        made: int | None = None
        try:
            if rule.side is Side.BEFORE or effect is None:
                pass
            elif isinstance(effect, bytes):
                struck = self._send(listener, call, effect, struck)
            else:
                made = effect()
            struck = self._act(listener, call, rule, boundary, struck)
        except OSError as error:
            struck = msgspec.structs.replace(struck, error=str(error))
        if listener.is_valid(call):  # whoever outlived this goes on as if nothing had been done
            if made is not None:
                listener.say_sent(call, made)
            elif not struck.sent:
                listener.let_pass(call)
            elif call.number == SENDMMSG:  # its counts would have to be written into the process
                listener.say_sent(call, 1)
            else:
                listener.say_sent(call, struck.sent)
        with self._changed:
            held = self._doomed.pop(boundary.tgid, [])
        for its_listener, its_call in held:  # which goes nowhere, if all went well
            its_listener.let_pass(its_call)
        struck = msgspec.structs.replace(struck, at=self.log.now())
        self.log.write(struck)
        self._armed.carried_out(struck)

    def _send(self, listener: Listener, call: Call, payload: bytes, struck: Struck) -> Struck:
        """Send in place of the process, and wait for the peer's answer, which is left to be read."""
        with processes.duplicate_socket(call.pid, call.arguments[0] & 0xFFFFFFFF) as link:
            if not listener.is_valid(call):
                raise ProcessLookupError("the sender had gone before the message was sent")
            heard = sockets.bytes_heard(link)
            sent = 0
            deadline = time.monotonic() + SEND_SECONDS_MAX
            while sent < len(payload):
                try:
                    sent += link.send(payload[sent:], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                except BlockingIOError as error:
                    if not sockets.ready(link, select.POLLOUT, deadline):
                        raise TimeoutError(f"the peer took {sent} of {len(payload)} bytes") from error
            deadline = time.monotonic() + REPLY_SECONDS_MAX
            # What came before is not the answer, and what does may be read at once by another thread of the process.
            while sockets.bytes_heard(link) <= heard and not sockets.hung_up(link) and time.monotonic() < deadline:
                threading.Event().wait(POLL_SECONDS)
            return msgspec.structs.replace(struck, sent=sent, replied=sockets.bytes_heard(link) > heard)

    def _act(self, listener: Listener, call: Call, rule: Rule, boundary: Boundary, struck: Struck) -> Struck:
        match rule.action:
            case Delay(seconds=seconds):
                threading.Event().wait(seconds)
            case Fail(errno=errno):
                if rule.side is Side.AFTER and not struck.sent:
                    raise OSError("a commit that is done cannot be told as an error")
                listener.fail(call, errno)
            case Kill(whom=whom):
                _, main = self._family(boundary.tgid)
                victims = self._victims(whom, boundary.tgid, main)
                if not listener.is_valid(call):
                    raise ProcessLookupError("the sender had gone before it was killed")
                gone, left = processes.kill(victims, within=KILL_SECONDS_MAX)
                with contextlib.suppress(WaitedInVainError):
                    wait_until(lambda: not listener.is_valid(call), within=ORPHAN_SECONDS_MAX, or_else="it lives")
                error = f"still there after {KILL_SECONDS_MAX:g} s: {left}" if left else ""
                return msgspec.structs.replace(struck, killed=tuple(gone), error=error)
        return struck

    @staticmethod
    def _victims(whom: Whom, sender: int, main: int) -> list[int]:
        if whom is Whom.SENDER:
            return [sender]
        if not main:
            raise ProcessLookupError(f"process {sender} has no main process")
        return [main] if whom is Whom.MAIN else [main, *processes.descendants(main)]


def _kills_sender(rule: Rule, boundary: Boundary) -> bool:
    if not isinstance(rule.action, Kill):
        return False
    return rule.action.whom is not Whom.MAIN or boundary.process is Process.MAIN


def main() -> None:
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    supervisor = Supervisor(settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
    welcome = servers.WelcomeServer(settings.listeners, supervisor)
    control = servers.ControlServer(settings.control, supervisor)
    for server in (welcome, control):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    supervisor.serve()


if __name__ == "__main__":
    main()
