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


_PLAIN = {
    "SF_INFO struct incomplete": "its header gives no sample rate, no channels, or fewer than 0 samples",
    "No 'data' chunk marker": "there is no chunk 'data' in it, which holds the samples; it may be cut off",
    "Short 'fmt ' chunk": "its chunk 'fmt ' is too short to say what its samples are",
    "unspecified internal error": "its header contradicts itself",
}
"""What libsndfile says in words of its own, and what is meant."""


def reason(error: Exception) -> str:
    """What libsndfile meant."""
    words = str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(". ")
    words = next((plain for own, plain in _PLAIN.items() if own.lower() in words.lower()), words)
    if not words or "does not exist or is not a regular file" in words:
        return "no decodable frames were found"
    return words[0].lower() + words[1:]
