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
_BOUNDED: dict[Any, Callable[[], Any]] = {
    zlib.decompress: zlib.decompressobj,
    bz2.decompress: bz2.BZ2Decompressor,
    lzma.decompress: lzma.LZMADecompressor,
}


class NotInflatedError(Exception):
    """A body that kombu must leave compressed."""


def check(body: bytes, compression: Any, *, bytes_max: int) -> None:
    """When this returns, kombu may undo the compression: nothing larger than `bytes_max` comes of it, or an error.

    :raises NotInflatedError: it becomes too large, or how large it becomes is not known before
    :raises Exception: it cannot be undone; this is what the decompressor, or kombu's list of them, says
    """
    decoder = kombu_compression.get_decoder(compression)
    if decoder not in _BOUNDED:
        raise NotInflatedError(f"compressed by {compression}: how large it becomes is not known before")
    if len(body) > bytes_max:
        raise NotInflatedError(f"its compressed body has {len(body)} bytes, {bytes_max} are allowed")
    decompressor = _BOUNDED[decoder]()
    if len(decompressor.decompress(body, bytes_max + 1)) > bytes_max:
        raise NotInflatedError(f"its compressed body becomes more than {bytes_max} bytes")
    # bz2 and lzma go on with whatever streams follow the first; no producer of Celery's makes more than one.
    if decompressor.unused_data:
        raise NotInflatedError("something follows its compressed body")
