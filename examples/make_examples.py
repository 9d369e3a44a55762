"""Write the example files: a guitar phrase, two amplifiers, a cabinet, a hall, filters, a table of readings.

    python examples/make_examples.py [FOLDER]

FOLDER is this script's own if none is named. Every run writes the same bytes. The levels are such that the guitar
stays below full scale in the hall and through the cabinet.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import soundfile
from safetensors.numpy import save_file

RATE = 44100
Samples = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def plucked(frequency: float, seconds: float, random: np.random.Generator) -> Samples:
    """A string after Karplus and Strong (1983): noise goes round in a delay line and is averaged on each round.

    The average delays by half a sample; the line is `period` samples long, and reading it at a steady pace other
    than 1 tunes what whole samples can't.
    """
    period = round(RATE / frequency - 0.5)
    samples = int(seconds * RATE)
    line = random.uniform(-1, 1, period)
    line = np.convolve(np.concatenate([line, line]), np.hanning(13) / 6, "same")[period // 2 :][:period]
    line -= line.mean()
    position = max(1, period // 5)  # where the string is plucked: every fifth harmonic is weak
    line -= np.roll(line, position)
    rounds = [line]
    for _ in range(samples // period + 20):
        rounds.append(0.998 * (rounds[-1] + np.roll(rounds[-1], 1)) / 2)
    string = np.concatenate(rounds)
    times = np.arange(samples) * frequency * (period + 0.5) / RATE
    string = np.interp(times, np.arange(len(string)), string)
    release = np.minimum(1, np.arange(samples, 0, -1) / (0.03 * RATE))
    note: Samples = string / np.sqrt(np.mean(string[:4410] ** 2)) * release
    return note


def guitar() -> Samples:
    """Three seconds of an arpeggio, A minor to F major, with a last chord: ``(samples,)``."""
    random = np.random.default_rng(1)
    notes = [45, 52, 57, 60, 64, 60, 41, 48, 53, 57]
    phrase = [(0.17 * i, note, 0.9) for i, note in enumerate(notes)]
    phrase += [(1.75 + 0.018 * i, note, 0.75) for i, note in enumerate([45, 52, 57, 60, 64, 69])]
    mix = np.zeros(3 * RATE)
    for start, note, level in phrase:
        first = int(start * RATE)
        string = plucked(440 * 2 ** ((note - 69) / 12), 3 - start, random)[: len(mix) - first]
        mix[first : first + len(string)] += level * string
    fade = np.minimum(1, np.arange(len(mix), 0, -1) / (0.25 * RATE))
    played: Samples = 0.5 * mix * fade / np.abs(mix).max()
    return played


def hall() -> Samples:
    """A stereo impulse response of one second: a direct sound, early reflections, and noise that decays."""
    random = np.random.default_rng(2)
    samples = RATE
    time = np.arange(samples) / RATE
    response = np.zeros((samples, 2))
    spectrum = np.fft.rfft(random.standard_normal((samples, 2)), axis=0)
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    # High frequencies die sooner in air and at walls: 60 dB in the time given for each band.
    for low, high, decay in [
        (60, 300, 1.1),
        (300, 1200, 1.0),
        (1200, 4000, 0.8),
        (4000, 9000, 0.4),
        (9000, 20000, 0.2),
    ]:
        band = (frequency >= low) & (frequency < high)
        noise = np.fft.irfft(spectrum * band[:, None], samples, axis=0)
        response += 0.12 * noise * 10 ** (-3 * time / decay)[:, None]
    response *= np.minimum(1, time / 0.04)[:, None] ** 2
    for delay in random.uniform(0.008, 0.075, 14):
        gain = random.uniform(0.3, 0.8) * random.choice([-1, 1]) * np.exp(-20 * delay)
        for channel in (0, 1):
            first = int((delay + random.uniform(0, 0.002)) * RATE)
            response[first : first + 9, channel] += gain * np.hanning(11)[1:-1] / 3
    response[0] = 1
    response *= np.minimum(1, (1 - time) / 0.1)[:, None]
    scaled: Samples = 0.3 * response / np.abs(response).max()
    return scaled


def cabinet() -> Samples:
    """A mono impulse response of 50 ms: what a guitar loudspeaker lets through, with the least delay possible."""
    size = 8192
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    low, high = (frequency / 85) ** 2, (frequency / 4800) ** 6
    gain = low / np.sqrt(1 + low**2) / np.sqrt(1 + high**2)
    for centre, width, boost in [(120, 0.35, 5), (420, 0.5, -5), (2500, 0.5, 7), (3900, 0.15, -4)]:
        octaves = np.log2(np.maximum(frequency, 1) / centre)
        gain *= 10 ** (boost / 20 * np.exp(-((octaves / width) ** 2)))
    # The minimum-phase response of a gain: fold its real cepstrum onto positive times (Oppenheim and Schafer).
    cepstrum = np.fft.irfft(np.log(np.maximum(gain, 1e-4)))
    cepstrum[1 : size // 2] *= 2
    cepstrum[size // 2 + 1 :] = 0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[: RATE // 20]
    response *= np.minimum(1, np.arange(len(response), 0, -1) / (0.01 * RATE))
    scaled: Samples = 0.35 * response / np.abs(response).max()
    return scaled


def amplifier() -> str:
    """An overdrive of four LSTM units, as GuitarML's players read it.

    With an open output gate and no recurrent weights a unit gives tanh(c), c' = f c + i tanh(w x + b): a soft clipper
    where the forget gate is shut, one behind a low-pass filter where it is not. A bias makes it bend on one side first.
    """
    shut, open_ = -6.0, 6.0
    drive, bias = [9.0, 3.0, 5.0, 0.8], [0.0, 0.35, -0.2, 0.0]
    gates_in, gates_forget = [open_, open_, -0.5, -1.5], [shut, shut, 0.5, 1.5]
    weight = [0.0] * 8 + drive + [0.0] * 4
    state = {
        "rec.weight_ih_l0": [[value] for value in weight],
        "rec.weight_hh_l0": [[0.0] * 4] * 16,
        "rec.bias_ih_l0": [*gates_in, *gates_forget, *bias, *[open_] * 4],
        "rec.bias_hh_l0": [0.0] * 16,
        "lin.weight": [[0.12, 0.22, 0.3, 0.4]],
        "lin.bias": [-0.012845],
    }
    data = {"model": "SimpleRNN", "input_size": 1, "skip": 0, "output_size": 1, "unit_type": "LSTM"}
    data |= {"num_layers": 1, "hidden_size": 4, "bias_fl": True}
    return json.dumps({"model_data": data, "state_dict": state}) + "\n"


def preamp() -> str:
    """A WaveNet of two arrays with four layers each, as NAM's player reads it: a drive that follows what was before.

    Of its two channels one is driven hard and bends on one side first, the other passes on a slower mean; each layer
    clips softly what it hears of the last 2, 4... 32 samples. The last bias takes away what silence would give.
    """

    def array(drive: float, bias: float, dilations: list[int]) -> list[float]:
        numbers = []
        for dilation in dilations:
            own, other = [0.0, 0.3, 0.5], [0.0, 0.1 / dilation, 0.0]  # of the last three samples that it sees
            numbers += [*own, *other, *other, *own, bias, 0.0]  # (2, 2, 3) and two biases
            numbers += [drive / dilation, 0.3]  # how the input is mixed in
            numbers += [-0.2, 0.1, 0.1, 0.2, 0.0, 0.0]  # what is handed on
        return numbers

    shapes = [(1, 2, [1, 2, 4, 8], False), (2, 1, [1, 4, 8, 16], True)]
    layers = [
        {
            "input_size": inputs,
            "condition_size": 1,
            "channels": 2,
            "head_size": size,
            "kernel_size": 3,
            "dilations": dilations,
            "activation": "Tanh",
            "gated": False,
            "head_bias": bias,
        }
        for inputs, size, dilations, bias in shapes
    ]
    weights = [1.0, 0.6, *array(6.0, 0.1, [1, 2, 4, 8]), 0.5, 0.1, 0.1, 0.5]
    weights += [0.5, 0.1, 0.1, 0.5, *array(2.0, 0.05, [1, 4, 8, 16]), 0.6, 0.4, -0.20695, 0.16]
    model = {"version": "0.5.4", "metadata": {"name": "Preamp"}, "architecture": "WaveNet"}
    config = {"layers": layers, "head": None, "head_scale": 0.16}
    return json.dumps(model | {"config": config, "weights": weights, "sample_rate": RATE}) + "\n"


def bands() -> Samples:
    """Six filters that cut the spectrum at 500 Hz, 1, 2, 4 and 8 kHz, and whose outputs add up to the delayed input.

    Each is the difference of two neighbouring low-pass filters, windowed sincs: ``(filters, taps)``.
    """
    taps = 513
    time = np.arange(taps) - taps // 2
    low_passes = [np.zeros(taps)]
    for edge in (500, 1000, 2000, 4000, 8000):
        ratio = 2 * edge / RATE
        low_passes.append(ratio * np.sinc(ratio * time) * np.blackman(taps))
    low_passes.append((time == 0).astype(float))
    bank: Samples = np.round(np.diff(low_passes, axis=0), 9).astype(np.float32)
    return bank


def gabor() -> Samples:
    """Gratings under a bell curve, as first layers of vision networks come to: ``(24, 1, 11, 11)``.

    Eight directions of three wavelengths; the mean is taken off, so that none answers to brightness alone.
    """
    y, x = np.mgrid[-5:6, -5:6]
    filters = []
    for wavelength in (3, 5, 8):
        for angle in np.arange(8) * np.pi / 8:
            along = x * np.cos(angle) + y * np.sin(angle)
            bell = np.exp(-(x**2 + y**2) / (2 * (0.5 * wavelength) ** 2))
            grating = bell * np.cos(2 * np.pi * along / wavelength)
            grating -= bell * grating.sum() / bell.sum()
            filters.append(grating / np.abs(grating).max())
    bank: Samples = np.round(filters, 6).astype(np.float32)[:, None]
    return bank


def readings() -> str:
    """Two hundred temperatures, one every ten minutes: a day and a third, with noise."""
    random = np.random.default_rng(3)
    hours = np.arange(200) / 6
    outdoors = 14 - 6 * np.cos(2 * np.pi * (hours - 4) / 24) + random.normal(0, 0.4, 200)
    indoors = 20.5 - 0.8 * np.cos(2 * np.pi * (hours - 7) / 24) + random.normal(0, 0.15, 200)
    rows = [f"{a:.2f},{b:.2f}" for a, b in zip(indoors, outdoors, strict=True)]
    return "\n".join(["indoors,outdoors", *rows, ""])


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "guitar.wav", guitar(), RATE, subtype="PCM_16")
    soundfile.write(folder / "hall.wav", hall(), RATE, subtype="PCM_16")
    soundfile.write(folder / "cabinet.wav", cabinet(), RATE, subtype="PCM_16")
    np.save(folder / "bands.npy", bands())
    save_file({"conv1.weight": gabor(), "conv1.bias": np.zeros(24, np.float32)}, folder / "gabor.safetensors")
    (folder / "amp.json").write_text(amplifier(), encoding="ascii", newline="\n")
    (folder / "preamp.nam").write_text(preamp(), encoding="ascii", newline="\n")
    (folder / "readings.csv").write_text(readings(), encoding="ascii", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
