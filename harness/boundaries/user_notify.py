"""Puts a process under the supervisor: from then on each send of it and of all its descendants is shown there first.

Loaded into the subject by its path, so: standard library only, plain old Python, and nothing of the harness.

    python user_notify.py LISTENERS_SOCKET ROLE -- PROGRAM ARGUMENT...

becomes PROGRAM under the filter; whatever is exec'd or forked from there, in any language, stays under it. A process
that forks its workers itself (a zygote) calls `install(listeners_socket, role)` while it has one thread.

How it works: a seccomp filter with a user-space listener, Linux x86-64 only. The listener's descriptor is not sent over
the socket, for that `sendmsg` would itself be filtered and wait for a supervisor that has no listener yet. The process
says hello before the filter is there, and afterwards only shuts the socket down, which is not filtered; the supervisor
then takes the listener out of the process with pidfd_getfd.

What it does to the subject: `no_new_privs` is set for good, as the kernel demands of a filter by an unprivileged user:
set-user-id programs (sudo, ping on some systems) and file capabilities give no rights any more in this process tree.
The send calls take longer (benchmarks/interception.py). When the supervisor dies, each of them fails with ENOSYS.

What it does not see: io_uring, sendfile, splice, vmsplice, data in a TCP fast open, 32-bit programs, and clear text
under TLS.
"""

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import sys

AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000

WRITE, WRITEV, SENDTO, SENDMSG, SENDMMSG = 1, 20, 44, 46, 307
SEND_FAMILY = (WRITE, WRITEV, SENDTO, SENDMSG, SENDMMSG)
PWRITE, FTRUNCATE, UNLINK, UNLINKAT, FCNTL = 18, 77, 87, 263, 72
RENAME, RENAMEAT, RENAMEAT2, LINK, LINKAT, FSYNC, FDATASYNC = 82, 264, 316, 86, 265, 74, 75
# Only shown to a supervisor that watches databases or folders; of fcntl only the locks.
NAME_FAMILY = (UNLINK, UNLINKAT, RENAME, RENAMEAT, RENAMEAT2, LINK, LINKAT)
FILE_FAMILY = (PWRITE, FTRUNCATE, FSYNC, FDATASYNC, *NAME_FAMILY)
F_SETLK = 6

_SYS_SECCOMP = 317
_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_GET_ACTION_AVAIL = 2
_RET_USER_NOTIF = 0x7FC00000
_RET_ALLOW = 0x7FFF0000
_RET_ERRNO = 0x00050000
_FLAG_NEW_LISTENER = 1 << 3
# Without it a timer signal interrupts the waiting call, which is then shown again and again. Kernel 5.19.
_FLAG_WAIT_KILLABLE_RECV = 1 << 5
_KERNEL_MIN = (5, 19)

_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER_OR_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_SECOND_ARGUMENT = 0, 4, 24

_ANSWER_SECONDS_MAX = 10.0


class CannotInterceptError(Exception):
    """Sends cannot be intercepted here; the message says why in one sentence."""


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def available() -> str:
    """Empty if sends can be intercepted on this machine, else the reason why not, in one sentence."""
    if sys.platform != "linux":
        return "intercepting sends needs Linux; this is " + platform.system()
    machine = platform.machine()
    if machine != "x86_64" or sys.maxsize < 1 << 32:
        return "intercepting sends is written and tested for 64-bit x86 only; this is " + machine
    release = platform.release()
    numbers = release.split("-")[0].split(".")
    if tuple(int(part) for part in numbers[:2] if part.isdigit()) < _KERNEL_MIN:
        return "intercepting sends needs Linux 5.19 or newer, for signals not to repeat a call; this is " + release
    action = ctypes.c_uint32(_RET_USER_NOTIF)
    if _libc().syscall(_SYS_SECCOMP, _GET_ACTION_AVAIL, 0, ctypes.byref(action)) != 0:
        return "this kernel or container does not allow seccomp user notification: " + _told()
    if _yama() > 0 and not _may_trace():
        return (
            f"kernel.yama.ptrace_scope is {_yama()}, so that only an ancestor may read a process's memory: "
            "set it to 0, or give CAP_SYS_PTRACE"
        )
    return ""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _told() -> str:
    return os.strerror(ctypes.get_errno())


def _yama() -> int:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as setting:  # noqa: PTH123 - as plain as can be
            return int(setting.read())
    except (OSError, ValueError):
        return 0


def _may_trace() -> bool:
    with open("/proc/self/status") as status:  # noqa: PTH123
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> 19 & 1)
    return False


def _filter(files: bool) -> bytes:
    """Shows the send family, and the calls that change files if asked; lets everything else pass.

    A call of another architecture passes and is not seen.
    """
    numbers = SEND_FAMILY + (FILE_FAMILY if files else ())
    # Each line is (operation, where to go if true, where to go if false, value); the names become distances below.
    lines = [
        (_LOAD_WORD, "", "", _OFFSET_ARCH),
        (_JUMP_EQUAL, "", "pass", AUDIT_ARCH_X86_64),
        (_LOAD_WORD, "", "", _OFFSET_NUMBER),
        # The x32 calls have the same architecture and other numbers: answer as a kernel without x32 does.
        (_JUMP_GREATER_OR_EQUAL, "refuse", "", X32_BIT),
    ]
    lines += [(_JUMP_EQUAL, "show", "", number) for number in numbers]
    if files:
        lines += [
            (_JUMP_EQUAL, "", "pass", FCNTL),
            (_LOAD_WORD, "", "", _OFFSET_SECOND_ARGUMENT),
            (_JUMP_EQUAL, "show", "pass", F_SETLK),
        ]
    returns = {"pass": _RET_ALLOW, "show": _RET_USER_NOTIF, "refuse": _RET_ERRNO | errno.ENOSYS}
    places = {name: len(lines) + index for index, name in enumerate(returns)}
    packed = [
        struct.pack("=HBBI", operation, *(places[name] - index - 1 if name else 0 for name in (yes, no)), value)
        for index, (operation, yes, no, value) in enumerate(lines)
    ]
    packed += [struct.pack("=HBBI", _RETURN, 0, 0, value) for value in returns.values()]
    return b"".join(packed)


def _install_filter(files: bool) -> int:
    """The listener's descriptor."""
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise CannotInterceptError("no_new_privs could not be set: " + _told())
    instructions = _filter(files)
    program = _Program(len(instructions) // 8, instructions)
    flags = _FLAG_NEW_LISTENER | _FLAG_WAIT_KILLABLE_RECV
    listener = libc.syscall(_SYS_SECCOMP, _SET_MODE_FILTER, flags, ctypes.byref(program))
    if listener < 0:
        if ctypes.get_errno() == errno.EBUSY:
            raise CannotInterceptError("this process is under another program's seccomp listener already")
        raise CannotInterceptError("the seccomp filter could not be installed: " + _told())
    return int(listener)


def install(listeners: str, role: str) -> None:
    """Put this process under the supervisor that listens at `listeners`, as "main" or "zygote".

    The supervisor is asked first whether it can read this process, so that a refusal is told while there is a way to
    tell it. Returns once the supervisor answers calls.

    :raises CannotInterceptError: with the reason; nothing has been installed
    """
    reason = available()
    if reason:
        raise CannotInterceptError(reason)
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - standard library of any age
        raise CannotInterceptError("this process has several threads, of which only one would be intercepted")
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(_ANSWER_SECONDS_MAX)
        try:
            link.connect(listeners)
            link.sendall(role.encode() + b"\n")
            answer = _line(link)
        except OSError as error:
            raise CannotInterceptError(f"the supervisor at {listeners} does not answer: {error}") from error
        if answer not in ("go", "go files"):
            raise CannotInterceptError(answer or "the supervisor ended")
        listener = _install_filter(files=answer == "go files")
        # From here on this process must not send until the supervisor has the listener.
        link.shutdown(socket.SHUT_WR)
        answer = _line(link)
        os.close(listener)
        if answer != "taken":  # nobody will ever answer a send: not even an error message can be written
            os._exit(126)
    finally:
        link.close()


def _line(link: socket.socket) -> str:
    received = b""
    while not received.endswith(b"\n"):
        part = link.recv(1024)
        if not part:
            break
        received += part
    return received.decode(errors="replace").strip()


def main() -> None:
    if len(sys.argv) < 5 or sys.argv[3] != "--":  # noqa: PLR2004
        sys.exit("usage: user_notify.py LISTENERS_SOCKET ROLE -- PROGRAM ARGUMENT...")
    try:
        install(sys.argv[1], sys.argv[2])
    except CannotInterceptError as error:
        sys.exit(str(error))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and what it executes would, too
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(sys.argv[4], sys.argv[4:])  # noqa: S606 - becoming it is the point
    except OSError as error:
        sys.exit(sys.argv[4] + ": " + str(error.strerror))


if __name__ == "__main__":
    main()
