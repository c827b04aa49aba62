"""What the header of a sound file promises, against what the file holds.

libsndfile believes the file: it reads a truncated wav as a shorter clip, a wav whose size was never filled in as an empty
one, and the first part of an MP3 stream that does not say how long it is. None of the three says a word, so they are told
apart here.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO, NamedTuple

UNKNOWN_SIZE = 0x7FF00000  # bytes; pipes write 0xFFFFFFFF (ffmpeg) or about 0x7FFFFFFF (sox) where they cannot know the size
MAX_CHUNKS = 1_000  # of a RIFF or IFF header, before giving up

# ISO/IEC 11172-3 and 13818-3, Layer III: kbit/s by index, Hz by version and index
_BIT_RATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BIT_RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


class AudioBytes(NamedTuple):
    """The audio part of a file, in bytes: what the header says, what is there, and where the header says it."""

    promised: int
    there: int
    size_at: int


class MpegFrame(NamedTuple):
    """An MPEG Layer III frame header."""

    version_1: bool
    bytes: int
    samples: int
    mono: bool


def audio_bytes(file: BinaryIO) -> AudioBytes | None:
    """Return the size of the audio part of a wav, RF64, aiff or au file that starts where ``file`` stands.

    None for other formats, for headers without an audio part, and for sizes that mean "not known when this was written".
    """
    start = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(start)
    magic = file.read(12)
    if len(magic) == 12 and magic[:4] == b".snd":
        offset, size = struct.unpack(">II", magic[4:])
        return AudioBytes(size, end - start - offset, start + 8) if 0 < size < UNKNOWN_SIZE else None
    if magic[:4] in (b"RIFF", b"RIFX", b"RF64") and magic[8:] == b"WAVE":
        return _audio_chunk(file, end, ">" if magic[:4] == b"RIFX" else "<")
    if magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC"):
        return _audio_chunk(file, end, ">")
    return None


def _audio_chunk(file: BinaryIO, end: int, order: str) -> AudioBytes | None:
    wide_size = None
    for _ in range(MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return None
        kind, size = struct.unpack(order + "4sI", header)
        body = file.tell()
        if kind == b"ds64":  # EBU Tech 3306: the sizes that do not fit in 32 bits
            wide_size = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))[0]
        if kind == b"data" and size == 0xFFFFFFFF and wide_size is not None:
            return AudioBytes(wide_size, end - body, body - 4)
        if kind in (b"data", b"SSND"):
            fields = 8 if kind == b"SSND" else 0  # offset and block size come before the samples
            return AudioBytes(size - fields, end - body - fields, body - 4) if size < UNKNOWN_SIZE else None
        file.seek(body + size + size % 2)
    return None


def is_float_w64(file: BinaryIO) -> bool:
    """Tell whether a file is Sony Wave64 with floats in the extensible format, which libsndfile 1.2 takes for integers."""
    file.seek(0)
    start = file.read(90)
    return start[:4] == b"riff" and start[40:44] == b"fmt " and start[64:66] == b"\xfe\xff" and start[88:] == b"\x03\x00"


def mended(file: BinaryIO) -> bytes | None:
    """Return the file's content with a header that libsndfile understands, where its own hides audio; else None.

    A recorder that was killed, or a program that wrote to a pipe, leaves a wav with a ``data`` chunk of size 0 in front
    of the samples. An MP3 stream of variable bit rate without the customary first frame (Xing, Info or VBRI) does not say
    how long it is, and libsndfile guesses from its first bit rate.
    """
    file.seek(0)
    magic = file.read(4)
    file.seek(0)
    if magic in (b"RIFF", b"RIFX"):
        found = audio_bytes(file)
        if found and found.promised == 0 and found.there > 0 and not _chunks_follow(file, found, magic):
            content = _all_of(file)
            size = struct.pack(("<" if magic == b"RIFF" else ">") + "I", min(found.there, UNKNOWN_SIZE))
            return content[: found.size_at] + size + content[found.size_at + 4 :]
    elif magic[:3] == b"ID3" or (magic[:1] == b"\xff" and len(magic) == 4 and magic[1] & 0xE0 == 0xE0):
        return _with_frame_count(file)
    return None


def _all_of(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _chunks_follow(file: BinaryIO, found: AudioBytes, magic: bytes) -> bool:
    """Tell whether the bytes behind an empty audio part are further chunks up to the end of the file."""
    position = found.size_at + 4
    end = position + found.there
    while position + 8 <= end:
        file.seek(position)
        kind, size = struct.unpack(("<" if magic == b"RIFF" else ">") + "4sI", file.read(8))
        if not (kind.isascii() and kind.decode().isprintable()):
            return False
        position += 8 + size + size % 2
    return position in (end, end + 1)


def _with_frame_count(file: BinaryIO) -> bytes | None:
    """Put a Xing frame with the number of frames in front of an MP3 stream that has none."""
    tag = file.read(10)
    first = 0
    if tag[:3] == b"ID3" and len(tag) == 10:  # ID3v2: a size of four times seven bits
        first = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
    file.seek(first)
    start = file.read(4096)
    frame = mpeg_frame(start)
    if frame is None or any(name in start[: frame.bytes] for name in (b"Xing", b"Info", b"VBRI")):
        return None
    data = _all_of(file)
    count, position, sizes = 0, first, set()
    while (found := mpeg_frame(data[position : position + 4])) is not None and position + found.bytes <= len(data):
        count, position = count + 1, position + found.bytes
        sizes.add(found.bytes)
    if max(sizes, default=0) - min(sizes, default=0) <= 1:  # constant bit rate: the guess is right (1: the padding byte)
        return None
    header = bytearray(start[:4])
    header[1] |= 0x01  # no checksum
    header[2] = (header[2] & 0x0D) | 0x90  # without padding, at a bit rate whose frame holds the fields below
    side = (17 if frame.mono else 32) if frame.version_1 else (9 if frame.mono else 17)
    xing = bytes(header) + bytes(side) + b"Xing" + struct.pack(">II", 1, count)
    length = mpeg_frame(bytes(header)).bytes
    return xing.ljust(length, b"\0") + data[first:]


def mpeg_frame(header: bytes) -> MpegFrame | None:
    """Read a Layer III frame header; None if the four bytes are none, or are of a free bit rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer != 1 or bit_rate in (0, 15) or rate == 3:
        return None
    version_1 = version == 3
    bits = 1000 * (_BIT_RATES_1 if version_1 else _BIT_RATES_2)[bit_rate]
    samples = 1152 if version_1 else 576
    size = samples // 8 * bits // _MPEG_RATES[version][rate] + (header[2] >> 1 & 1)
    return MpegFrame(version_1, size, samples, header[3] >> 6 == 3)
