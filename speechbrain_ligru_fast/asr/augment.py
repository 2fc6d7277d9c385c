"""Data augmentation of waveforms."""

import csv
import logging
from pathlib import Path

import soundfile
import torch
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import AddNoise
from speechbrain.dataio.dataio import read_audio
from speechbrain.utils.data_utils import batch_pad_right
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.text import few

logger = logging.getLogger(__name__)

_AUDIO = {".wav", ".flac"}


def build_augmenter(
    augmentations,
    sample_rate,
    noise_folder=None,
    noise_csv=None,
    snr_low=0,
    snr_high=15,
    concat_original=False,
):
    """Apply every augmentation to every batch, after noise if there is some.

    Arguments
    ---------
    augmentations : list of torch.nn.Module
        None or an empty list for no augmentation.
    sample_rate : int
    noise_folder : path-like, optional
        Noise recordings (.wav, .flac), searched for in sub-folders too.
    noise_csv : path-like, optional
        Where to write their list.
    snr_low, snr_high : float
        Signal to noise ratio in dB.
    concat_original : bool
        Train on the unchanged batch as well, which doubles it.

    Returns
    -------
    speechbrain.augment.augmenter.Augmenter | None

    Raises
    ------
    FileNotFoundError
        If `noise_folder` holds no audio.
    ValueError
        If some of it is not mono, or of another sample rate.

    Example
    -------
    >>> build_augmenter([], 16000) is None
    True
    """
    augmentations = list(augmentations or [])
    if noise_folder:
        files = _find_noise(noise_folder, sample_rate)
        run_on_main(_list_noise, args=(files, noise_csv))
        noise = DrawnNoise(files, noise_csv, snr_low, snr_high)
        augmentations.insert(0, noise)
    if not augmentations:
        return None
    return Augmenter(
        concat_original=concat_original,
        min_augmentations=len(augmentations),
        max_augmentations=len(augmentations),
        augmentations=augmentations,
    )


class DrawnNoise(AddNoise):
    """SpeechBrain's AddNoise, its recordings drawn by torch's generator.

    AddNoise takes them in an order that no checkpoint knows: a training that
    is resumed would begin it again.

    Arguments
    ---------
    files : iterable of path-like
        Mono recordings at the speech's sample rate.
    csv_file : path-like
        Their list.
    snr_low, snr_high : float
        Signal to noise ratio in dB.
    """

    def __init__(self, files, csv_file, snr_low, snr_high):
        super().__init__(csv_file, snr_low=snr_low, snr_high=snr_high)
        self.files = list(files)
        self.data_loader = None  # it makes none of its own

    def _load_noise_batch_of_size(self, batch_size):
        chosen = torch.randint(len(self.files), (batch_size,)).tolist()
        waves = [read_audio(str(self.files[i])) for i in chosen]
        batch, lengths = batch_pad_right(waves)
        return batch, torch.as_tensor(lengths)


def _find_noise(folder, sample_rate):
    """Its files -> what soundfile says of them."""
    paths = sorted(
        p for p in Path(folder).rglob("*") if p.suffix.lower() in _AUDIO
    )
    if not paths:
        raise FileNotFoundError(
            f"noise_folder={str(folder)!r} holds no .wav or .flac file"
        )
    found = {path: soundfile.info(path) for path in paths}
    # Stereo would fail in the first batch, another rate play at another speed.
    bad = [
        f"{path} ({info.channels} channels, {info.samplerate} Hz)"
        for path, info in found.items()
        if (info.channels, info.samplerate) != (1, sample_rate)
    ]
    if bad:
        raise ValueError(
            f"noise_folder={str(folder)!r}: expected mono at {sample_rate} "
            f"Hz, got {few(bad)}"
        )
    return found


def _list_noise(found, csv_file):
    Path(csv_file).parent.mkdir(parents=True, exist_ok=True)
    with open(csv_file, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["ID", "duration", "wav", "wav_format", "wav_opts"])
        for i, (path, info) in enumerate(found.items()):
            rows.writerow([i, info.duration, path, path.suffix[1:], ""])
