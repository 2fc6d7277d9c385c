"""Words while audio arrives, by a network in one direction.

Example
-------
> python -m speechbrain_ligru_fast.hybrid.streaming OUTPUT_FOLDER speech.wav
"""

import argparse
import sys

import torch

from speechbrain_ligru_fast.asr.audio import AudioReader
from speechbrain_ligru_fast.deploy.streaming import (
    StreamingEncoder,
    StreamingFeatures,
)
from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.alignment import score_matrix
from speechbrain_ligru_fast.hybrid.experiment import load_trained
from speechbrain_ligru_fast.hybrid.graphs import penalized


class StreamingHybrid:
    """The text of what was heard so far, by the search of the tests.

    Arguments
    ---------
    brain : speechbrain_ligru_fast.hybrid.brain.Hybrid
        Trained with rnn_bidirectional: False and norm_type: global.
    scale, penalty : float
        Acoustic scale and word penalty: cells of a result row.

    Raises
    ------
    ValueError
        If its normalisation, features or network need the whole utterance.
    """

    def __init__(self, brain, scale, penalty):
        hparams, normalize = brain.hparams, brain.modules.normalize
        if normalize.norm_type != "global":
            raise ValueError(
                f"norm_type: {normalize.norm_type!r} needs the whole "
                "utterance. Train with --norm_type global"
            )
        self._brain, self._scale = brain, scale
        self.sample_rate = hparams.sample_rate
        self._features = StreamingFeatures(hparams.compute_features)
        self._encoder = StreamingEncoder(brain.hparams.modules["enc"])
        self._graph = penalized(brain.system.graph, penalty)
        decoder = packages.kaldi_decoder
        self._search = decoder.FasterDecoder(
            self._graph,
            decoder.FasterDecoderOptions(
                beam=hparams.beam, max_active=hparams.max_active
            ),
        )
        self._search.init_decoding()

    @torch.no_grad()
    def feed(self, wav, last=False):
        """Take (N,) samples; return the words of all so far.

        Only with the `last` must they end as sentences of the language model
        do.
        """
        self._brain.modules.eval()
        x = self._features.feed(wav.unsqueeze(0), last)
        if x is not None:
            lengths = torch.ones(1, device=x.device)
            x = self._encoder.feed(
                self._brain.modules.normalize(x, lengths), last
            )
        if x is not None:
            self._advance(x)
        return self._text(last)

    def _advance(self, encoded):
        brain, system = self._brain, self._brain.system
        (scores,) = brain.scores(brain.classify(encoded), torch.ones(1))
        decodable = packages.kaldi_decoder.DecodableCtc(
            score_matrix(system.hmm, self._scale * scores),
            offset=self._search.num_frames_decoded(),
        )
        self._search.advance_decoding(decodable)

    def _text(self, last):
        if not self._search.num_frames_decoded():
            return ""
        found, path = self._search.get_best_path(use_final_probs=last)
        if not found:
            return ""
        _, _, ids, _ = packages.kaldifst.get_linear_symbol_sequence(path)
        words = self._brain.system.lexicon.words
        return " ".join(words[i - 1] for i in ids)


def main(arguments=None):
    """Print the words of a file, as if it arrived by fifths of a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output_folder")
    parser.add_argument("file")
    options = parser.parse_args(arguments)
    streaming = StreamingHybrid(
        *load_trained(options.output_folder, "--device", "cpu")
    )
    rate = streaming.sample_rate
    wav, before = AudioReader(rate)(options.file), ""
    for start in range(0, len(wav), rate // 5):
        end = start + rate // 5
        text = streaming.feed(wav[start:end], last=end >= len(wav))
        if text != before or end >= len(wav):
            print(f"{min(end, len(wav)) / rate:.1f} s: {text}")
        before = text


if __name__ == "__main__":
    sys.exit(main())
