"""The states of phones, and the transitions between them."""

import numpy
import torch

from speechbrain_ligru_fast.hybrid import packages

STATES = 3


class Hmm:
    """A left-to-right hidden Markov model of each phone, without context.

    Each phone has three states, each state a distribution of its own over
    what is heard, a *pdf*: pdf ``STATES * (phone - 1) + state``. From a state
    one stays in it or goes on. Kaldi names these steps by transition ids, from
    1 on; an alignment is one for each frame.

    Arguments
    ---------
    phones : int
        How many there are.

    Attributes
    ----------
    transitions : kaldi_hmm_gmm.TransitionModel
    tree : kaldi_hmm_gmm.ContextDependency
        What maps a phone's state to its pdf.
    pdfs : torch.Tensor
        (transition ids,), int64: the pdf of transition id ``i + 1``.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("kaldi_hmm_gmm")
    >>> hmm = Hmm(phones=2)
    >>> hmm.pdfs.tolist()
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    """

    def __init__(self, phones):
        khg = packages.khg
        listed = " ".join(str(phone) for phone in range(1, phones + 1))
        states = "".join(
            f"<State> {i} <PdfClass> {i} <Transition> {i} 0.75 "
            f"<Transition> {i + 1} 0.25 </State> "
            for i in range(STATES)
        )
        self._topology = khg.HmmTopology()
        self._topology.read(
            f"<Topology> <TopologyEntry> <ForPhones> {listed} </ForPhones> "
            f"{states}<State> {STATES} </State> </TopologyEntry> </Topology>"
        )
        self._topology.check()
        self.tree = khg.monophone_context_dependency(
            phones=list(range(1, phones + 1)),
            phone2num_pdf_classes=self._topology.get_phone_to_num_pdf_classes(),
        )
        self.transitions = khg.TransitionModel(self.tree, self._topology)
        count = self.transitions.num_transition_ids
        self.pdfs = torch.tensor(
            [
                self.transitions.transition_id_to_pdf(i)
                for i in range(1, count + 1)
            ]
        )
        self._steps = {
            (pdf, self.transitions.is_self_loop(i)): i
            for i, pdf in enumerate(self.pdfs.tolist(), 1)
        }

    def estimate(self, alignments):
        """Set the transitions to what alignments have most often.

        Arguments
        ---------
        alignments : iterable of numpy.ndarray
            (frames,), int32: transition ids.
        """
        khg = packages.khg
        # Each time from the beginning: they are a function of alignments.
        self.transitions = khg.TransitionModel(self.tree, self._topology)
        counts = numpy.bincount(
            numpy.concatenate(list(alignments)),
            minlength=len(self.transitions.init_stats()),
        )
        self.transitions.mle_update(
            counts.astype("float64"), khg.MleTransitionUpdateConfig()
        )

    def spread(self, phones, ends):
        """The alignment of phones whose ends are known.

        The frames of each are shared out equally among its states; those of a
        phone with fewer frames than states go to the first ones.

        Arguments
        ---------
        phones : list of int
        ends : list of int
            The frame after each phone's last.

        Returns
        -------
        numpy.ndarray
            (frames,), int32: transition ids.
        """
        alignment, start = [], 0
        for phone, end in zip(phones, ends):
            for state, frames in enumerate(
                numpy.array_split(numpy.arange(start, end), STATES)
            ):
                pdf = STATES * (phone - 1) + state
                # It stays, and with its last frame goes on.
                alignment += [self._steps[pdf, True]] * (len(frames) - 1)
                alignment += [self._steps[pdf, False]] * bool(len(frames))
            start = end
        return numpy.array(alignment, "int32")
