"""The formats by name and by extension."""

from __future__ import annotations

import os

from convtool.files.urls import base_name

DELIMITERS = {"csv": ",", "tsv": "\t", "txt": " "}
"""Text formats and what stands between their cells."""

AUDIO = {
    "wav": "WAV",
    "wave": "WAV",
    "flac": "FLAC",
    "ogg": "OGG",
    "oga": "OGG",
    "opus": "OGG",
    "mp3": "MP3",
    "aif": "AIFF",
    "aiff": "AIFF",
    "aifc": "AIFF",
    "caf": "CAF",
    "au": "AU",
    "snd": "AU",
    "w64": "W64",
    "rf64": "RF64",
    "wavex": "WAVEX",
    "voc": "VOC",
    "sph": "NIST",
    "nist": "NIST",
    "ircam": "IRCAM",
    "sf": "IRCAM",
    "paf": "PAF",
    "avr": "AVR",
    "mpc": "MPC2K",
    "svx": "SVX",
    "iff": "SVX",
}
"""Audio extensions and libsndfile's name of the format."""

ARRAYS = ("npz", "mat", "h5", "hdf5", "sofa", "safetensors", "keras", "pt", "pth", "onnx")
"""Extensions of files of named arrays, which are read; what comes of one array is written as NPY."""

PICTURES = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF", "tiff": "TIFF"}
"""Extensions of pictures and Pillow's name of the format."""

NAMES = (*DELIMITERS, "npy", *AUDIO, *PICTURES)


def extension(path: str) -> str:
    """The extension of `path` in lower case, without its dot.

    >>> extension("takes/One.WAV"), extension("https://host/one.wav?signature=1.2")
    ('wav', 'wav')
    """
    return os.path.splitext(base_name(path))[1][1:].lower()


def family(name: str | None) -> str | None:
    """What a format name or extension stands for: ``CSV``, ``NPY``, a format of audio or pictures, or None."""
    if name in DELIMITERS:
        return "CSV"
    return "NPY" if name == "npy" else (AUDIO | PICTURES).get(name or "")
