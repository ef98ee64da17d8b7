"""What kinds of sound are read, and how each is told by its first bytes, whatever the file is called.

Nothing is decoded here and nothing heavy imported. Kinds without a mark of their own (headerless samples) are not read:
any bytes at all would pass for them.
"""

import re
from dataclasses import dataclass
from typing import BinaryIO

from distill.audio.mpeg import first_frame

FORMATS = (
    "WAV, AIFF, FLAC, OGG, Opus, MP3, M4A, WMA, WavPack and most"
    " other sound files, and the sound of MP4, MOV and WebM films"
)
"""What the page, `--help` and the README say."""

JUNK_BYTES = 2**20
"""How far into a file MPEG frames are looked for behind junk or a damaged tag."""
MARK_BYTES = 1024
ID3_HEADER = 10
APE_HEADER = 32


@dataclass(frozen=True)
class Kind:
    """A kind of sound file."""

    name: str
    demuxer: str = ""
    """FFmpeg's name for what takes the file apart; empty: only libsndfile reads it."""
    by_libsndfile: bool = False
    """Whether libsndfile reads it, which is then asked first."""
    says_length: bool = False
    """Whether FFmpeg finds a duration in the header; elsewhere it estimates one."""


MP3 = Kind("MP3", "mp3")
AAC = Kind("AAC", "aac")
WAV = Kind("WAV", "wav", by_libsndfile=True)
FLAC = Kind("FLAC", "flac", by_libsndfile=True, says_length=True)
OGG = Kind("OGG", "ogg", by_libsndfile=True)
MP4 = Kind("MP4", "mov", says_length=True)
MATROSKA = Kind("WebM or Matroska", "matroska", says_length=True)

_KINDS = [
    (rb"(RIFF|RIFX|RF64|BW64)....WAVE", WAV),
    (rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", Kind("W64", "w64", by_libsndfile=True)),
    (rb"FORM....AIF[FC]", Kind("AIFF", "aiff", by_libsndfile=True)),
    (rb"fLaC", FLAC),
    (rb"OggS\x00", OGG),
    (rb"caff\x00\x01", Kind("CAF", "caf", by_libsndfile=True)),
    (rb"\.snd\x00\x00|dns\..\x00\x00\x00", Kind("AU", "au", by_libsndfile=True)),
    (rb"FORM....(8SVX|16SV)", Kind("IFF", "iff", by_libsndfile=True)),
    (rb"NIST_1A", Kind("NIST", "nistsphere", by_libsndfile=True)),
    (rb"Creative Voice File\x1a", Kind("VOC", "voc")),
    (rb" paf\x00{4}|fap \x00{4}", Kind("PAF", by_libsndfile=True)),
    (rb"\x64\xa3[\x00-\x04]\x00|\x00[\x00-\x04]\xa3\x64", Kind("IRCAM", "ircam", by_libsndfile=True)),
    (rb"2BIT", Kind("AVR", "avr", by_libsndfile=True)),
    (rb"PVF1\n", Kind("PVF", "pvf", by_libsndfile=True)),
    (rb"Extended Instrument: ", Kind("XI", by_libsndfile=True)),
    (rb"ALawSoundFile\*\*", Kind("WVE", by_libsndfile=True)),
    (rb"\xf0\x7e[\x00-\x7f]\x01.{17}\xf0\x7e[\x00-\x7f]\x02", Kind("SDS", by_libsndfile=True)),
    (rb"\x01\x04[ -~]{16}\x00..[\x00\x01]", Kind("MPC2000", by_libsndfile=True)),
    (rb"(?![ -~]{4}).{4}(ftyp|moov|mdat|wide|free|skip|pnot)", MP4),
    (rb"\x1a\x45\xdf\xa3", MATROSKA),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", Kind("WMA", "asf", says_length=True)),
    (rb"wvpk", Kind("WavPack", "wv", says_length=True)),
    (rb"MAC .[\x0e\x0f]", Kind("Monkey's Audio", "ape", says_length=True)),
    (rb"TTA1", Kind("True Audio", "tta", says_length=True)),
    (rb"tBaK", Kind("TAK", "tak", says_length=True)),
    (rb"MPCK", Kind("Musepack", "mpc8", says_length=True)),
    (rb"MP\+[\x07\x17]", Kind("Musepack", "mpc", says_length=True)),
    (rb"ajkg", Kind("Shorten", "shn")),
    (rb"qoaf", Kind("QOA", "qoa")),
    (rb"#!AMR", Kind("AMR", "amr")),
    (rb"\.RMF\x00|\.ra\xfd", Kind("RealAudio", "rm", says_length=True)),
    (rb"RIFF....(AVI |AVIX)", Kind("AVI", "avi", says_length=True)),
    (rb"\x80\x00..\x03.{0,1000}\(c\)CRI", Kind("ADX", "adx", says_length=True)),
    (rb"RIFF....XWMA", Kind("XWMA", "xwma")),
    (rb"FLV\x01", Kind("Flash video", "flv", says_length=True)),
    (rb"DSD \x1c", Kind("DSD", "dsf", says_length=True)),
    (rb"FRM8.{8}DSD ", Kind("DSD", "iff")),
    (rb"\.SoX|XoS\.", Kind("SoX", "sox")),
    (rb"\x06\x0e\x2b\x34\x02\x05\x01\x01", Kind("MXF", "mxf", says_length=True)),
    (rb"[\x02\x03]dss", Kind("DSS", "dss")),
    (rb"ea3\x03", Kind("ATRAC", "oma")),
    (rb"\x0b\x77|\x77\x0b", Kind("AC-3", "ac3")),
    (rb"\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x1f\xff\xe8\x00|\xff\x1f\x00\xe8", Kind("DTS", "dts")),
    (rb"DTSHDHDR", Kind("DTS", "dtshd")),
    (rb"\x00\x00\x01\xba", Kind("MPEG video", "mpeg")),
    (rb"\x47(?:.{187}\x47){3}|.{4}\x47(?:.{191}\x47){3}", Kind("MPEG video", "mpegts")),
]  # fmt: skip
_UNREADABLE = [
    (rb"CAT ....REX|FORM....REX", "REX"),
    (rb"RIFF....(sfbk|DLS )", "SoundFont"),
    (rb"OFR .\x00\x00\x00", "OptimFROG"),
    (rb"Extended Module: |IMPM|.{44}SCRM", "tracker module"),
    (rb"#!SILK|\x02#!SILK", "SILK"),
    (rb"\x03ds2", "DSS Pro"),
    (rb"MS_VOICE", "Sony voice recorder"),
    (rb"FSB[345]", "FSB"),
    (rb"TTA2", "True Audio 2"),
    (rb"FORM....MAUD", "MAUD"),
    (rb"SOUND SAMPLE DATA ", "SampleVision"),
    (rb".{65}FSSD", "HCOM"),
    (rb"LA0[2-4]", "Lossless Audio"),
    (rb"ADIF", "AAC in ADIF"),
]
_NOT_SOUNDS = (
    rb"PK[\x03\x05]|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd"  # archives
    rb"|%PDF|\xd0\xcf\x11\xe0|SQLite format|bplist|\x00\x05\x16[\x00\x07]|MThd|RIFF....RMID"  # documents, notes
    rb"|\xff\xd8\xff|\x89PNG|GIF8|BM.{4}\x00\x00\x00\x00|II\*\x00|MM\x00\*|8BPS|RIFF....WEBP"  # pictures
    rb"|.{4}ftyp(heic|heix|mif1|avif|avis|crx )"
    rb"|MZ|\x7fELF|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe"  # programs
)
_NOT_SOUND = re.compile(_NOT_SOUNDS, re.DOTALL)
_KNOWN = [(re.compile(pattern, re.DOTALL), kind) for pattern, kind in _KINDS]
_REFUSED = [(re.compile(pattern, re.DOTALL), name) for pattern, name in _UNREADABLE]


@dataclass(frozen=True)
class Recognised:
    """What a file's bytes say of its kind."""

    kind: Kind | None
    """None: nothing that is read here."""
    start: int = 0
    """Where the sound begins: behind tags and junk."""
    unreadable: str = ""
    """The name of a kind of sound that cannot be read."""
    after_junk: bool = False
    """Whether what lies before `start` is neither tag nor sound."""


def recognise(stream: BinaryIO, file_size: int) -> Recognised:
    """The kind of sound in a file, by its content.

    Tags before the sound are skipped, and so is junk before MPEG frames, which have no header to begin with.
    """
    start = tags_end(stream, 0)
    if start >= file_size:
        start = ID3_HEADER  # a damaged tag
    stream.seek(start)
    mark = stream.read(MARK_BYTES)
    if _NOT_SOUND.match(mark):
        return Recognised(None)
    for pattern, kind in _KNOWN:
        if pattern.match(mark):
            return Recognised(kind, start)
    for pattern, name in _REFUSED:
        if pattern.match(mark):
            return Recognised(None, start, name)
    found = first_frame(mark + stream.read(JUNK_BYTES))
    if found is None:
        return Recognised(None)
    return Recognised(AAC if found.aac else MP3, start + found.start, after_junk=found.start > 0)


def tags_end(stream: BinaryIO, start: int) -> int:
    """Where the ID3v2 and APEv2 tags that begin at `start` end; `start` where there are none."""
    while True:
        stream.seek(start)
        size = tag_size(stream.read(APE_HEADER))
        if size == 0:
            return start
        start += size


def tag_size(header: bytes) -> int:
    """Bytes of the tag that begins with `header` (32 of them), 0 where it is none."""
    if header[:3] == b"ID3" and len(header) >= ID3_HEADER and 2 <= header[3] <= 4 and max(header[6:10]) < 0x80:
        size = 0
        for byte in header[6:10]:
            size = size << 7 | byte
        return size + (2 if header[5] & 0x10 else 1) * ID3_HEADER
    if header[:8] == b"APETAGEX" and len(header) == APE_HEADER:
        is_header = int.from_bytes(header[20:24], "little") & 0x2000_0000
        return int.from_bytes(header[12:16], "little") + APE_HEADER if is_header else APE_HEADER
    return 0
