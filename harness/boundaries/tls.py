"""What can be told of an encrypted connection from outside: when data goes out, but not which.

Handshakes and alerts are passed over; each send that carries data is `TLS data`, reads and writes alike. In TLS 1.3 the
client's Finished looks like data. It is the first such record, unless a handshake record has followed the change of
cipher, as it does in TLS 1.2.
"""

import struct

RECORD_BYTES = 1 << 14  # of clear text in one record, at most
_HEADER = struct.Struct(">BHH")
_CHANGE_CIPHER, _HANDSHAKE, _DATA = 20, 22, 23
_TYPES = range(20, 25)
_RECORD_BYTES_MAX = (1 << 14) + 2048


class Tls:
    def __init__(self) -> None:
        self.within = False
        self._buffer = b""
        self._skip = 0
        self._changed = False
        self._finished = False

    def feed(self, data: bytes) -> list[str]:
        self._buffer += data
        begun: list[str] = []
        while self._buffer:
            if self._skip:
                step = min(self._skip, len(self._buffer))
                self._buffer = self._buffer[step:]
                self._skip -= step
                continue
            if len(self._buffer) < _HEADER.size:
                break
            kind, _, size = _HEADER.unpack_from(self._buffer)
            if kind not in _TYPES or size > _RECORD_BYTES_MAX:
                raise ValueError("not TLS any more")
            self._skip = _HEADER.size + size
            if kind == _CHANGE_CIPHER:
                self._changed = True
            elif kind == _HANDSHAKE:
                self._finished = self._finished or self._changed
            elif kind == _DATA:
                begun += ["TLS data"] if self._finished else []
                self._finished = True
        self.within = bool(self._buffer or self._skip)
        return begun
