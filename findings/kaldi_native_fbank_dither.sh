#!/usr/bin/env bash
# kaldi-native-fbank 1.23.0
# Guessed: features are a function of the samples.
# Does: noise is added by default (dither 0.00003, of samples within -1 and 1),
#     drawn anew each time: filter banks of one and the same tone differ by
#     more than 0.5 of a log unit where it is silent, and so do a recogniser's
#     scores from run to run. With dither 0 they are equal.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment kaldi-native-fbank==1.23.0 numpy==2.4.6
python - <<'PYTHON'
import kaldi_native_fbank
import numpy

tone = numpy.sin(numpy.arange(16000) * 0.05).tolist()


def features(dither=None):
    options = kaldi_native_fbank.FbankOptions()
    if dither is not None:
        options.frame_opts.dither = dither
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(16000, tone)
    bank.input_finished()
    return numpy.stack(
        [bank.get_frame(i) for i in range(bank.num_frames_ready)]
    )


by_default = abs(features() - features()).max()
without = abs(features(0.0) - features(0.0)).max()
print(f"largest difference of two calls: {by_default}, dither 0: {without}")
assert by_default > 0.5 and without == 0
PYTHON
