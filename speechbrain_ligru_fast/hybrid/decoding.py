"""The most probable words, by a search through HCLG."""

import logging

from speechbrain_ligru_fast.asr.metrics import ErrorRate
from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.alignment import score_matrix
from speechbrain_ligru_fast.hybrid.graphs import penalized

logger = logging.getLogger(__name__)


class Decoder:
    """Searches one utterance after another, each for a lattice.

    A lattice has all paths that are little worse than the best, with what the
    graph and what the audio says kept apart: another acoustic scale may be
    tried without another search.

    Arguments
    ---------
    hmm : Hmm
    graph : kaldifst.StdVectorFst
        Of graphs.decoding_graph.
    lexicon : Lexicon
    scale : float
        What log-likelihoods are multiplied by.
    penalty : float
        The cost of each word.
    beam, lattice_beam : float
        How much worse than the best a path may be in the search, and in the
        lattice.
    max_active : int
        How many paths `best` follows at most; a lattice's are not limited.
    """

    def __init__(
        self,
        hmm,
        graph,
        lexicon,
        scale,
        penalty,
        beam=15.0,
        lattice_beam=8.0,
        max_active=2000,
    ):
        decoder = packages.kaldi_decoder
        self.hmm, self.lexicon, self.scale = hmm, lexicon, scale
        # Searched for as long as the decoder is: it holds no copy.
        self._graph = penalized(graph, penalty)
        self._search = decoder.LatticeSimpleDecoder(
            self._graph,
            decoder.LatticeSimpleDecoderConfig(
                beam=beam, lattice_beam=lattice_beam
            ),
        )
        self._quick = decoder.FasterDecoder(
            self._graph,
            decoder.FasterDecoderOptions(beam=beam, max_active=max_active),
        )

    def best(self, scores):
        """The words of an utterance, found without a lattice.

        Several times as fast, where many paths are about as good: after the
        first epochs of a training.

        Arguments
        ---------
        scores : torch.Tensor
            (frames, pdfs): log-likelihoods, not scaled.
        """
        self._quick.decode(self._decodable(scores))
        found, path = self._quick.get_best_path()
        return self._words(path) if found else ""

    def lattice(self, scores):
        """The lattice of an utterance, a kaldifst.Lattice; None without path.

        Arguments
        ---------
        scores : torch.Tensor
            (frames, pdfs): log-likelihoods, not scaled.
        """
        if not self._search.decode(self._decodable(scores)):
            return None
        found, lattice = self._search.get_raw_lattice()
        return lattice if found else None

    def _decodable(self, scores):
        matrix = score_matrix(self.hmm, self.scale * scores)
        return packages.kaldi_decoder.DecodableCtc(matrix)

    def text(self, lattice, scale=None):
        """The words of a lattice's best path.

        Arguments
        ---------
        lattice : kaldifst.Lattice | None
        scale : float, optional
            An acoustic scale other than that of the search.
        """
        if lattice is None:
            return ""
        kaldifst = packages.kaldifst
        if scale is not None:
            lattice = kaldifst.Lattice(lattice)
            kaldifst.scale_lattice(
                kaldifst.lattice_scale(lmwt=1.0, acwt=scale / self.scale),
                in_out=lattice,
            )
        (best,) = kaldifst.convert_nbest_to_vector(
            kaldifst.shortest_path(lattice)
        )
        return self._words(best)

    def _words(self, path):
        _, _, words, _ = packages.kaldifst.get_linear_symbol_sequence(path)
        return " ".join(self.lexicon.words[i - 1] for i in words)


def tune(make_decoder, scores, texts, scales, penalties, scoring=None):
    """The scale and penalty with the fewest errors; the first of equal ones.

    Arguments
    ---------
    make_decoder : callable
        Scale and penalty -> Decoder.
    scores : dict
        Utterance id -> log-likelihoods, (frames, pdfs).
    texts : dict
        Utterance id -> transcript.
    scales, penalties : list of float
        What to try, all with all.
    scoring : callable, optional
        See asr.metrics.ErrorRate.

    Returns
    -------
    scale, penalty, error : float
        The last in percent.
    """
    best = None
    for penalty in penalties:
        decoder = make_decoder(sorted(scales)[len(scales) // 2], penalty)
        lattices = {key: decoder.lattice(s) for key, s in scores.items()}
        for scale in scales:
            rate = ErrorRate("word", scoring)
            for key, lattice in lattices.items():
                rate.append([key], [texts[key]], [decoder.text(lattice, scale)])
            error = rate.summarize()
            logger.info(
                "acoustic scale %g, word penalty %g: %.2f %%",
                *(scale, penalty, error),
            )
            if best is None or error < best[2]:
                best = scale, penalty, error
    return best
