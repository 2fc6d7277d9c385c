"""Which state is heard in each frame, given what was said."""

import logging

import numpy

from speechbrain_ligru_fast.asr.text import few
from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.graphs import add_transitions

logger = logging.getLogger(__name__)

# Kaldi's: scores of neighbouring frames are far from independent.
SCALE = 0.1


def align(hmm, graphs, score, beam=10.0, retry_beam=40.0):
    """The best path through each utterance's graph.

    Arguments
    ---------
    hmm : Hmm
    graphs : dict
        Utterance id -> its graph, of graphs.training_graphs.
    score : callable
        Utterance id -> what scores its frames, a
        kaldi_hmm_gmm.DecodableInterface scaled by SCALE.
    beam, retry_beam : float
        How much worse than the best a path may be, and in a second attempt.

    Returns
    -------
    dict
        Utterance id -> (frames,), int32: transition ids. Utterances without a
        path, as those with fewer frames than states, are lacking.
    """
    khg = packages.khg
    config, found = khg.AlignConfig(beam, retry_beam, False), {}
    for key, graph in graphs.items():
        done, *_, alignment, _ = khg.align_utterance_wrapper(
            config=config,
            utt=key,
            acoustic_scale=SCALE,
            fst=add_transitions(hmm, graph),
            decodable=score(key),
            num_done=0,
            num_error=0,
            num_retried=0,
            tot_like=0.0,
            frame_count=0,
        )
        if done:
            found[key] = numpy.array(alignment, "int32")
    return found


def score_matrix(hmm, scores):
    """What scores an utterance's frames, of a network's output.

    Arguments
    ---------
    hmm : Hmm
    scores : torch.Tensor
        (frames, pdfs), float32: log-likelihoods, scaled.

    Returns
    -------
    numpy.ndarray
        (frames, transition ids), float32, as DecodableCtc takes it.
    """
    return scores[:, hmm.pdfs].float().numpy()


def check_aligned(wanted, alignments, allowed, what):
    """Say which utterances have no alignment, or refuse to go on.

    Arguments
    ---------
    wanted : iterable of str
        Utterance ids.
    alignments : dict
        Those that have one.
    allowed : float
        The share of utterances that may have none: they are left out.
    what : str
        What was aligned, for the message.

    Raises
    ------
    ValueError
        If more have none.

    Example
    -------
    >>> check_aligned(["a", "b"], {"a": 1}, 0.4, "train")
    Traceback (most recent call last):
    ValueError: train: 1 of 2 utterances can't be aligned (b). Their ...
    """
    wanted = list(wanted)
    lacking = [key for key in wanted if key not in alignments]
    if not lacking:
        return
    message = (
        f"{what}: {len(lacking)} of {len(wanted)} utterances can't be aligned "
        f"({few(lacking)}). Their transcripts may be of other audio, or longer "
        "than it"
    )
    if len(lacking) > allowed * len(wanted):
        raise ValueError(f"{message}; max_bad_fraction={allowed} are allowed")
    logger.warning("%s: they are left out", message)


def save_alignments(path, alignments, made_of):
    """Write alignments, with eight digits for what they were made of."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    with open(unfinished, "wb") as file:
        numpy.savez(
            file,
            made_of=numpy.array(made_of),
            keys=numpy.array(list(alignments)),
            ends=numpy.cumsum([len(a) for a in alignments.values()]),
            ids=numpy.concatenate(list(alignments.values())),
        )
    unfinished.rename(path)


def load_alignments(path, made_of):
    """What `save_alignments` wrote; None if it is of something else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "alignment.npz"
    >>> save_alignments(path, {"a": numpy.array([1, 2])}, "5d41402a")
    >>> load_alignments(path, "5d41402a")
    {'a': array([1, 2])}
    >>> load_alignments(path, "e77148e2") is None
    True
    """
    if not path.is_file():
        return None
    with numpy.load(path) as found:
        if str(found["made_of"]) != made_of:
            return None
        parts = numpy.split(found["ids"], found["ends"][:-1])
        return dict(zip(found["keys"].tolist(), parts))
