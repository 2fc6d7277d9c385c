#!/usr/bin/env bash
# kaldi-hmm-gmm 1.1.4 with kaldifst 1.8.3 (its dependency, without a bound) and
#     with kaldifst 1.7.17
# Guessed: a decoder of kaldi-hmm-gmm searches a graph of kaldifst, as in the
#     example of its repository.
# Does: with the kaldifst that pip installs beside it, every call with a graph
#     is a TypeError: "incompatible constructor arguments ... Invoked with:
#     StdVectorFst". The two wheels were compiled by versions of pybind11 that
#     share no types. With kaldifst 1.7.17 the same lines work.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment kaldi-hmm-gmm==1.1.4 kaldifst==1.8.3 numpy==2.4.6
cat > search.py <<'PYTHON'
import kaldi_hmm_gmm
import kaldifst

graph = kaldifst.compile("0 1 1 1\n1\n")
try:
    kaldi_hmm_gmm.FasterDecoder(graph, kaldi_hmm_gmm.FasterDecoderOptions())
    print("taken")
except TypeError as error:
    print(str(error).splitlines()[0])
PYTHON
newest=$(python search.py)
echo "kaldifst 1.8.3: $newest"
python -m uv pip install --quiet --python venv/bin/python kaldifst==1.7.17
older=$(python search.py)
echo "kaldifst 1.7.17: $older"
[[ $newest == *"incompatible constructor arguments"* && $older == taken ]]
