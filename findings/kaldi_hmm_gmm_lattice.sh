#!/usr/bin/env bash
# kaldi-hmm-gmm 1.1.4
# Guessed: LatticeFasterDecoder, Kaldi's, decodes and gives a lattice.
# Does: it has a constructor and no method: decode_utterance_lattice_faster
#     returns the best path alone, and no call gives the lattice. That of
#     kaldi-decoder 0.2.11, LatticeSimpleDecoder, has get_raw_lattice.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment kaldi-hmm-gmm==1.1.4 kaldifst==1.7.17 kaldi-decoder==0.2.11 \
    numpy==2.4.6
python - <<'PYTHON'
import kaldi_decoder
import kaldi_hmm_gmm
import kaldifst


def methods(decoder):
    return [name for name in dir(decoder) if not name.startswith("_")]


faster = methods(kaldi_hmm_gmm.LatticeFasterDecoder)
simple = methods(kaldi_decoder.LatticeSimpleDecoder)
print(f"kaldi_hmm_gmm.LatticeFasterDecoder: {faster}")
print(f"kaldi_decoder.LatticeSimpleDecoder: {simple}")
graph = kaldifst.compile("0 0 1 7\n0\n")
decoder = kaldi_hmm_gmm.LatticeFasterDecoder(
    graph, kaldi_hmm_gmm.LatticeFasterDecoderConfig()
)
print(f"an instance: {decoder}")
assert faster == [] and "get_raw_lattice" in simple
PYTHON
