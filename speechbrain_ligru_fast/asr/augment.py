"""Data augmentation of waveforms."""

import csv
from pathlib import Path

import torch
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import AddNoise
from speechbrain.utils.data_utils import batch_pad_right
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.audio import AudioReader, BadAudio, audio_info
from speechbrain_ligru_fast.asr.files import find_files
from speechbrain_ligru_fast.asr.text import few


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
        Brought to `sample_rate` and mono, see AudioReader.
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
        If some of it can't be read.

    Example
    -------
    >>> build_augmenter([], 16000) is None
    True
    """
    augmentations = list(augmentations or [])
    if noise_folder:
        noises = _find_noise(noise_folder)
        run_on_main(_write_list, args=(noises, noise_csv))
        noise = DrawnNoise(noises, noise_csv, snr_low, snr_high, sample_rate)
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
    """

    def __init__(self, files, csv_file, snr_low, snr_high, sample_rate):
        super().__init__(csv_file, snr_low=snr_low, snr_high=snr_high)
        self.files = list(files)
        self.read = AudioReader(sample_rate)
        self.data_loader = None  # it makes none of its own

    def _load_noise_batch_of_size(self, batch_size):
        chosen = torch.randint(len(self.files), (batch_size,)).tolist()
        waves = [self.read(self.files[i]) for i in chosen]
        batch, lengths = batch_pad_right(waves)
        return batch, torch.as_tensor(lengths)


def _find_noise(folder):
    """Its files -> what is in them."""
    is_there = Path(folder).is_dir()
    found, bad = {}, []
    for path in find_files(folder, ".wav", ".flac") if is_there else []:
        try:
            found[path] = audio_info(path)
        except BadAudio as error:
            bad.append(str(error))
    if bad:
        raise ValueError(f"noise_folder={str(folder)!r}: {few(bad)}")
    if not found:
        raise FileNotFoundError(
            f"noise_folder={str(folder)!r} holds no .wav or .flac file"
        )
    return found


def _write_list(noises, csv_file):
    Path(csv_file).parent.mkdir(parents=True, exist_ok=True)
    with open(csv_file, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["ID", "duration", "wav", "wav_format", "wav_opts"])
        for i, (path, info) in enumerate(noises.items()):
            rows.writerow([i, info.duration, path, path.suffix[1:], ""])
