"""Checksums that Hadoop's local file system keeps next to files, and checks whenever they are read."""

from __future__ import annotations

import struct
import zlib


def is_stale(checksum: str, end: bytes, size: int) -> bool:
    """Return whether Hadoop's checksum of a local file is that of other content, judged by its size and its end.

    The format is that of Hadoop's `ChecksumFileSystem`: `crc` and a zero byte, the bytes per sum as four bytes, then
    the CRC-32 of each piece of so many bytes, all in big-endian order.

    Args:
        checksum: local path of the checksum, `.NAME.crc`; one that cannot be read is not stale.
        end: last bytes of the file that it should belong to; only pieces that lie wholly in them are compared.
        size: of that file, in bytes.
    """
    try:
        with open(checksum, "rb") as stream:
            data = stream.read()
    except OSError:
        return False
    if data[:4] != b"crc\0" or len(data) < 8:
        return True
    step = int.from_bytes(data[4:8], "big")
    sums = data[8:]
    if step <= 0 or len(sums) != 4 * -(-size // step):
        return True
    start = size - len(end)
    first = -(-start // step)
    for chunk in range(first, -(-size // step)):
        piece = end[chunk * step - start : (chunk + 1) * step - start]
        if struct.unpack(">I", sums[4 * chunk : 4 * chunk + 4])[0] != zlib.crc32(piece):
            return True
    return False
