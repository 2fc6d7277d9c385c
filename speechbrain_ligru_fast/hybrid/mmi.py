"""Training on whole utterances: what was said against all that might have been.

Maximum mutual information of Bahl, Brown, de Souza and Mercer, 1986, without
lattices, as Povey et al., "Purely sequence-trained neural networks for ASR
based on lattice-free MMI", 2016: what might have been said are phones, each
pair as probable as in the training set.
"""

import torch
from torch import nn

from speechbrain_ligru_fast.hybrid.hmm import STATES
from speechbrain_ligru_fast.scan.lengths import count_frames

# Of pairs of phones, and of edges, that the training set lacks.
_UNSEEN = 0.1
# Of a score below the frame's best: what no path survives has no gradient.
_FLOOR = -60.0
# Frames whose probabilities are multiplied before they are scaled: float64
# holds exp(_FLOOR) to the power of it.
_UNSCALED = 8


class StateChain(nn.Module):
    """Which state follows which, how often, in alignments.

    Arguments
    ---------
    states : int
        STATES of each phone.

    Example
    -------
    >>> chain = StateChain(3)
    >>> chain.count([torch.tensor([0, 0, 1, 2, 2, 2])])
    >>> chain.steps[0].tolist()
    [0.5, 0.5, 0.0]
    """

    def __init__(self, states):
        super().__init__()
        shapes = {"first": states, "steps": (states, states), "last": states}
        for name, shape in shapes.items():
            empty = torch.zeros(shape, dtype=torch.float64)
            self.register_buffer(name, empty, persistent=False)

    def count(self, alignments):
        """Set the probabilities, of (frames,) states of each utterance."""
        states = len(self.first)
        steps = torch.zeros_like(self.steps)
        first, last = (torch.full_like(self.first, _UNSEEN) for _ in range(2))
        for aligned in alignments:
            pairs = aligned[:-1] * states + aligned[1:]
            steps += torch.bincount(pairs, minlength=states**2).view_as(steps)
            first[aligned[0]] += 1
            last[aligned[-1]] += 1
        begin, end = slice(0, None, STATES), slice(STATES - 1, None, STATES)
        steps[end, begin] += _UNSEEN
        for within in range(STATES):
            at = torch.arange(within, states, STATES)
            steps[at, at] += _UNSEEN
            if within < STATES - 1:
                steps[at, at + 1] += _UNSEEN
        self.steps.copy_(steps / steps.sum(1, keepdim=True))
        self.first.copy_(first / first.sum())
        self.last.copy_(last / (last + steps.sum(1)))

    def forward(self, scores, lengths, labels, label_lengths):
        """The loss of a batch, a frame's mean.

        Arguments
        ---------
        scores : torch.Tensor
            (B, T, states): scaled log-likelihoods.
        lengths : torch.Tensor
            (B,), relative lengths.
        labels : torch.Tensor
            (B, T'), int64: the states of what was said, of the same audio at
            any speed. What matters is their order.
        label_lengths : torch.Tensor
            (B,), relative lengths.

        Returns
        -------
        torch.Tensor
            log p(x) - log p(x | W), where W are the labels. An utterance of
            fewer frames than labels in a row has no part in it.
        """
        frames = count_frames(lengths, scores)
        counts = count_frames(label_lengths, labels).tolist()
        said = [torch.unique_consecutive(x[:n]) for x, n in zip(labels, counts)]
        return _Mmi.apply(scores, frames, self, said)

    def anything(self, scores):
        """Emissions, first, last, and what a step forward and back does."""
        steps = self.steps
        edges = (x.expand(len(scores), -1) for x in (self.first, self.last))
        return (scores, *edges, lambda a: a @ steps, lambda b: b @ steps.T)

    def said(self, scores, sequences):
        """The same of one sequence for each utterance."""
        size = len(sequences), max(map(len, sequences))
        index = torch.zeros(size, dtype=torch.int64, device=scores.device)
        inside, last = (torch.zeros_like(index).double() for _ in range(2))
        for i, sequence in enumerate(sequences):
            index[i, : len(sequence)] = sequence
            inside[i, : len(sequence)] = 1
            last[i, len(sequence) - 1] = self.last[sequence[-1]]
        first = torch.zeros_like(inside)
        first[:, 0] = self.first[index[:, 0]]
        stay = self.steps[index, index] * inside
        go = self.steps[index[:, :-1], index[:, 1:]] * inside[:, 1:]

        def forth(a):
            b = a * stay
            b[:, 1:] += a[:, :-1] * go
            return b

        def back(b):
            a = b * stay
            a[:, :-1] += b[:, 1:] * go
            return a

        emissions = scores.gather(2, _each_frame(index, scores))
        return (emissions, first, last, forth, back), index


class _Mmi(torch.autograd.Function):
    """The difference of two log-likelihoods, and that of their posteriors."""

    @staticmethod
    def forward(ctx, scores, frames, chain, sequences):
        shifted = scores.detach().double()
        # Of each frame the largest is 1: it cancels in the difference.
        shifted = shifted - shifted.amax(2, keepdim=True)
        shifted = shifted.clamp(min=_FLOOR).exp()
        heard, anything = _posteriors(*chain.anything(shifted), frames)
        graph, index = chain.said(shifted, sequences)
        spoken, some = _posteriors(*graph, frames)
        said = torch.zeros_like(anything).scatter_add_(
            2, _each_frame(index, anything), some
        )
        gradient = anything - said
        has_path = spoken.isfinite() & gradient.isfinite().all(2).all(1)
        count = (frames * has_path).sum().clamp(min=1)
        gradient = torch.where(has_path[:, None, None], gradient / count, 0.0)
        ctx.save_for_backward(gradient.to(scores))
        loss = torch.where(has_path, heard - spoken, 0.0).sum() / count
        return loss.to(scores)

    @staticmethod
    def backward(ctx, grad):
        (gradient,) = ctx.saved_tensors
        return grad * gradient, None, None, None


def _each_frame(index, scores):
    return index[:, None].expand(-1, scores.size(1), -1)


def _posteriors(emissions, first, last, forth, back, frames):
    """Log-likelihoods (B,) and the posteriors of states, (B, T, states).

    The forward-backward algorithm of Rabiner 1989, section III, now and then
    scaled to a sum of 1.
    """
    steps = emissions.size(1)
    each, ends = torch.arange(len(frames)), set(frames.tolist())
    emitted = emissions.unbind(1)
    alphas, scales, alpha = [], [], None
    for t in range(steps):
        alpha = (first if t == 0 else forth(alpha)) * emitted[t]
        if t % _UNSCALED == 0:
            scale = alpha.sum(1, keepdim=True)
            alpha = alpha / scale
            scales.append(scale)
        alphas.append(alpha)
    alphas = torch.stack(alphas, 1)
    at = torch.arange(steps, device=frames.device)
    scaled = at[::_UNSCALED] < frames[:, None]
    found = torch.where(scaled, torch.cat(scales, 1).log(), 0.0).sum(1)
    found = found + (alphas[each, frames - 1] * last).sum(1).log()
    betas, beta = [None] * steps, last
    for t in reversed(range(steps)):
        if t < steps - 1:
            beta = back(beta * emitted[t + 1])
            if t % _UNSCALED == 0:
                beta = beta / beta.sum(1, keepdim=True)
            if t + 1 in ends:
                # Shorter ones begin here.
                beta = torch.where((frames == t + 1)[:, None], last, beta)
        betas[t] = beta
    both = _shares(alphas) * _shares(torch.stack(betas, 1))
    both = torch.where((at < frames[:, None])[..., None], _shares(both), 0.0)
    return found, both


def _shares(x):
    return x / x.sum(2, keepdim=True)
