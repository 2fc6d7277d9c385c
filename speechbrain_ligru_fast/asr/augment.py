"""Data augmentation of waveforms."""

import csv
from pathlib import Path

import torch
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import AddNoise, DropFreq
from speechbrain.utils.data_utils import batch_pad_right
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.audio import AudioReader, BadAudio, audio_info
from speechbrain_ligru_fast.asr.files import find_files
from speechbrain_ligru_fast.asr.text import few

# Of DropFreq's filter.
_TAPS = 101


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
    for augmentation in augmentations:
        if type(augmentation) is DropFreq:
            augmentation.__class__ = BlockwiseDropFreq
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


class BlockwiseDropFreq(DropFreq):
    """SpeechBrain's DropFreq, its filter applied as a product of matrices.

    A convolution of one channel takes a CPU five times as long.

    Example
    -------
    >>> BlockwiseDropFreq()(torch.randn(2, 4000)).shape
    torch.Size([2, 4000])
    """

    # Samples of a block: fewer repeat more of the input, more of the filter.
    BLOCK = 128

    def forward(self, waveforms):
        """Drops random bands of frequencies.

        Arguments
        ---------
        waveforms : Tensor
            (B, T), or (B, T, C), which SpeechBrain filters.

        Returns
        -------
        Tensor
            Of the same shape.
        """
        if waveforms.dim() != 2 or waveforms.device.type != "cpu":
            return super().forward(waveforms)
        impulse = waveforms.new_zeros(1, _TAPS)
        impulse[0, _TAPS // 2] = 1
        # Drawn as ever: only what it is applied to is not the waveform.
        response = super().forward(impulse)[0]
        size, steps = self.BLOCK, waveforms.size(1)
        blocks = -(-steps // size)
        before = _TAPS // 2
        after = blocks * size - steps + _TAPS - 1 - before
        padded = torch.nn.functional.pad(waveforms, (before, after))
        # Column t has the filter from row t on.
        taps = torch.nn.functional.pad(response.flip(0), (0, size))
        matrix = taps.repeat(size)[: size * (size + _TAPS - 1)]
        matrix = matrix.view(size, size + _TAPS - 1).t()
        found = padded.unfold(1, size + _TAPS - 1, size) @ matrix
        return found.flatten(1)[:, :steps]


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
            seconds = info.frames / info.sample_rate
            rows.writerow([i, seconds, path, path.suffix[1:], ""])
