"""How large a compressed body becomes, before kombu finds out.

kombu undoes a compression in the main process, whatever comes of it, as soon as it has the message: some bytes that
become gigabytes would end one worker after the other, and no job would have been begun that could be counted.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from kombu import compression as kombu_compression_module

kombu_compression: Any = kombu_compression_module  # half typed

# By what kombu undoes it with: the same, but no further than to so many bytes.
_BOUNDED: dict[Any, Callable[[bytes, int], bytes]] = {
    zlib.decompress: lambda body, bytes_max: zlib.decompressobj().decompress(body, bytes_max),
    bz2.decompress: lambda body, bytes_max: bz2.BZ2Decompressor().decompress(body, bytes_max),
    lzma.decompress: lambda body, bytes_max: lzma.LZMADecompressor().decompress(body, bytes_max),
}


def why_not_inflated(body: bytes, compression: str, *, bytes_max: int) -> str | None:
    """What forbids kombu to undo this compression, or None. What it cannot undo, it says itself."""
    try:
        decoder = kombu_compression.get_decoder(compression)
    except KeyError:
        return None
    inflate = _BOUNDED.get(decoder)
    if inflate is None:
        return f"compressed by {compression}: how large it becomes is not known before"
    try:
        inflated = inflate(body, bytes_max + 1)
    except (zlib.error, OSError, lzma.LZMAError, ValueError, EOFError):
        return None
    if len(inflated) > bytes_max:
        return f"its compressed body becomes more than {bytes_max} bytes"
    return None
