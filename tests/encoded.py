"""One made sound in every kind of file that PyAV and libsndfile write, for tests of reading."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile

HZ = 44_100
Samples = npt.NDArray[np.float32]


def clicks(seconds: float = 1.0, rate: int = HZ) -> Samples:
    """[n, 2]: a click every 0.25 s over a rising tone, the second half louder, the right channel a little softer."""
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.1 * np.sin(2 * np.pi * (200 + 300 * time) * time) * np.where(time < seconds / 2, 0.5, 1.0)
    since = time % 0.25
    click = 0.6 * np.exp(-since * 200) * np.sin(2 * np.pi * 1500 * since)
    return np.stack([tone + click, 0.8 * (tone + click)], axis=1).astype(np.float32)


def by_ffmpeg(
    container: str, codec: str, samples: Samples, rate: int = HZ, to: Path | None = None, **options: str
) -> bytes:
    """The file that FFmpeg writes of [n, 2], in memory or `to` a path; `options` are the container's."""
    buffer = io.BytesIO()
    with av.open(str(to) if to else buffer, "w", format=container, options=options) as out:
        stream: Any = out.add_stream(codec, rate=48_000 if codec == "libopus" else rate)
        context = stream.codec_context
        stream.layout, context.bit_rate = "stereo", 128_000
        context.open()
        resampler = av.AudioResampler(
            context.format, "stereo", context.sample_rate, frame_size=context.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for source in (frame, None):
            for part in resampler.resample(source):
                out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def by_libsndfile(container: str, subtype: str, samples: Samples, rate: int = HZ) -> bytes:
    """The file that libsndfile writes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=container, subtype=subtype)
    return buffer.getvalue()


def _ffmpeg(container: str, codec: str, **options: str) -> Callable[[Samples], bytes]:
    return lambda samples: by_ffmpeg(container, codec, samples, **options)


def _libsndfile(container: str, subtype: str = "PCM_16") -> Callable[[Samples], bytes]:
    return lambda samples: by_libsndfile(container, subtype, samples)


KINDS: dict[str, Callable[[Samples], bytes]] = {
    "AAC in M4A": _ffmpeg("ipod", "aac"),
    "AAC in pieces": _ffmpeg("mp4", "aac", movflags="frag_keyframe+empty_moov"),
    "AAC in ADTS": _ffmpeg("adts", "aac"),
    "AAC in MPEG-TS": _ffmpeg("mpegts", "aac"),
    "ALAC in M4A": _ffmpeg("ipod", "alac"),
    "PCM in MOV": _ffmpeg("mov", "pcm_s16le"),
    "PCM in AVI": _ffmpeg("avi", "pcm_s16le"),
    "Opus in WebM": _ffmpeg("webm", "libopus"),
    "FLAC in OGG": _ffmpeg("ogg", "flac"),
    "WMA": _ffmpeg("asf", "wmav2"),
    "WavPack": _ffmpeg("wv", "wavpack"),
    "True Audio": _ffmpeg("tta", "tta"),
    "MP2": _ffmpeg("mp2", "mp2"),
    "MP3": _ffmpeg("mp3", "libmp3lame"),
    "MP3 without Xing": _ffmpeg("mp3", "libmp3lame", write_xing="0"),
    "MP3 in WAV": _ffmpeg("wav", "libmp3lame"),
    "W64": _libsndfile("W64"),
    "RF64": _libsndfile("RF64"),
    "WAV": _libsndfile("WAV"),
    "AIFF": _libsndfile("AIFF"),
    "AU": _libsndfile("AU"),
    "CAF": _libsndfile("CAF"),
    "FLAC": _libsndfile("FLAC"),
    "Vorbis": _libsndfile("OGG", "VORBIS"),
    "Opus": _ffmpeg("ogg", "libopus"),
    "BW64": lambda samples: b"BW64" + by_libsndfile("RF64", "PCM_16", samples)[4:],
    "VOC": _ffmpeg("voc", "pcm_s16le"),
}  # fmt: skip
