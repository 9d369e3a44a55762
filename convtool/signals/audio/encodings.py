"""What libsndfile calls the encodings of samples, how precise each is, and what its error messages mean."""

from __future__ import annotations

BITS = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "ALAC_16": 16,
}
INSTEAD = {"ALAC_20": "PCM_24", "ALAC_24": "PCM_24", "ALAC_32": "PCM_32"}
"""What libsndfile's encoder damages, where samples can't be compressed, and what holds the same numbers."""
FLOATS = ("FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
EXACT = (*BITS, "FLOAT", "DOUBLE")
WIDE = ("PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32")


def reason(error: Exception) -> str:
    """What libsndfile meant."""
    words = str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(". ")
    if not words or "does not exist or is not a regular file" in words:
        return "no decodable frames were found"
    return words[0].lower() + words[1:]
