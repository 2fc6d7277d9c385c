"""Gaussian mixtures, trained from nothing to align what a network learns.

Each state has a mixture of Gaussians with diagonal covariances. They are
trained by Viterbi's approximation: align, estimate, and again (Rabiner, "A
tutorial on hidden Markov models", 1989, section VI; Kaldi's train_mono).
"""

import logging

import numpy

from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.alignment import (
    SCALE,
    align,
    check_aligned,
)

logger = logging.getLogger(__name__)


def train_gmm(
    hmm, graphs, features, start, iterations=25, gaussians=1000, allowed=0
):
    """Train monophone models and align with them.

    Arguments
    ---------
    hmm : Hmm
        Its transitions are estimated as well.
    graphs : dict
        Utterance id -> its training graph.
    features : dict
        Utterance id -> (frames, coefficients), float32, C-contiguous.
    start : dict
        Alignments to begin with, of `flat_start` say.
    iterations : int
        How often to align and estimate.
    gaussians : int
        How many in the end, over all states; they grow by splitting.
    allowed : float
        The share of utterances that may have no alignment.

    Returns
    -------
    callable
        Aligns: graphs and features as above -> alignments.

    Raises
    ------
    ValueError
        If more utterances have none.
    """
    khg = packages.khg
    wanted = list(graphs)
    alignments = start
    check_aligned(wanted, alignments, allowed, "flat start")
    model = _one_gaussian_each(hmm, features)
    count = model.num_gauss
    # First where phones are, then what they are like in detail.
    alone, growing = iterations // 4, max(iterations // 2, 1)

    def score(key, features):
        return khg.DecodableAmDiagGmmScaled(
            am=model, tm=hmm.transitions, feats=features[key], scale=SCALE
        )

    def aligned(graphs, features):
        return align(hmm, graphs, lambda key: score(key, features))

    for iteration in range(iterations + 1):
        if iteration:
            alignments = aligned(graphs, features)
            check_aligned(
                wanted, alignments, allowed, f"GMM iteration {iteration}"
            )
        grown = min(max(iteration - alone, 0) / growing, 1.0)
        target = round(count + grown * (gaussians - count))
        likelihood = _estimate(hmm, model, features, alignments, target)
        logger.info(
            "GMM iteration %d: %.3f of log-likelihood a frame, %d Gaussians",
            *(iteration, likelihood, model.num_gauss),
        )
    return aligned


def flat_start(graphs, features):
    """Alignments that share each utterance's frames out among its states.

    Of several ways through a graph one is drawn. The graphs should begin and
    end with silence: where it is left out at random, speech is what its model
    learns first, and no iteration unlearns it.
    """
    kaldifst, found = packages.kaldifst, {}
    for key, graph in graphs.items():
        done, path = kaldifst.equal_align(
            ifst=graph, length=len(features[key]), rand_seed=0, num_retries=10
        )
        if done:
            _, alignment, *_ = kaldifst.get_linear_symbol_sequence(path)
            found[key] = numpy.array(alignment, "int32")
    return found


def _one_gaussian_each(hmm, features):
    """A model whose states all have the distribution of all frames."""
    khg = packages.khg
    frames = numpy.concatenate(list(features.values())).astype("float64")
    gaussian = khg.DiagGmm(nmix=1, dim=frames.shape[1])
    gaussian.set_weights(numpy.ones(1, "float32"))
    gaussian.set_invvars_and_means(
        inv_vars=(1 / (frames.var(0, keepdims=True) + 1e-3)).astype("float32"),
        means=frames.mean(0, keepdims=True).astype("float32"),
    )
    gaussian.compute_gconsts()
    model = khg.AmDiagGmm()
    for _ in range(hmm.tree.num_pdfs):
        model.add_pdf(gaussian)
    return model


def _estimate(hmm, model, features, alignments, gaussians):
    """One step of it; returns the log-likelihood of a frame before it."""
    khg = packages.khg
    hmm.estimate(alignments.values())
    flags = khg.str_to_gmm_flags("mvw")
    statistics = khg.AccumAmDiagGmm()
    statistics.init(model=model, flags=flags)
    pdfs = hmm.pdfs.tolist()
    for key, alignment in alignments.items():
        for frame, step in zip(features[key], alignment.tolist()):
            statistics.accumulate_for_gmm(
                model=model, data=frame, gmm_index=pdfs[step - 1], weight=1.0
            )
    options = khg.MleDiagGmmOptions()
    options.min_gaussian_occupancy = 3
    khg.mle_am_diag_gmm_update(
        config=options, amdiag_gmm_acc=statistics, flags=flags, am_gmm=model
    )
    if gaussians > model.num_gauss:
        occupied = [
            statistics.get_acc(i).occupancy.sum()
            for i in range(statistics.num_accs)
        ]
        model.split_by_count(
            state_occs=numpy.array(occupied, "float32"),
            target_components=gaussians,
            perturb_factor=0.01,
            power=0.2,
            min_count=20.0,
        )
    return statistics.tot_log_like / statistics.tot_count
