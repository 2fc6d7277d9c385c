"""What a network's posteriors are divided by, and the loss that trains it."""

import torch
from torch import nn

from speechbrain_ligru_fast.scan.lengths import count_frames, valid_frames


class StatePriors(nn.Module):
    """How often each state is, kept with the weights of the network.

    By Bayes, p(x | s) = p(s | x) p(x) / p(s), where p(x) is the same for all
    states (Bourlard and Morgan, "Connectionist speech recognition", 1994): a
    decoder's score is log p(s | x) - log p(s).

    Arguments
    ---------
    states : int

    Example
    -------
    >>> priors = StatePriors(2)
    >>> priors.count([torch.tensor([0, 0, 1])])
    >>> (priors(torch.tensor([[0.5, 0.5]]).log())).exp()
    tensor([[0.8333, 1.2500]])
    """

    def __init__(self, states):
        super().__init__()
        self.register_buffer("log_prior", torch.zeros(states))

    def count(self, alignments):
        """Count the states of alignments, each once more than it occurs."""
        counts = torch.bincount(
            torch.cat(list(alignments)), minlength=len(self.log_prior)
        )
        counts = (counts + 1).to(self.log_prior)
        self.log_prior.copy_((counts / counts.sum()).log())

    def forward(self, log_posteriors):
        """Log-likelihoods but for a constant, from (..., states)."""
        return log_posteriors - self.log_prior


def unstack(outputs, classes):
    """The outputs of each frame, where a step of the network has several.

    A network that pools in time costs a fraction of one that doesn't, and yet
    tells states apart frame by frame: of each step it puts out the classes of
    its first frame, those of its second, and so on.

    Arguments
    ---------
    outputs : torch.Tensor
        (B, T, frames x classes).
    classes : int

    Returns
    -------
    torch.Tensor
        (B, T x frames, classes).

    Example
    -------
    >>> unstack(torch.zeros(1, 25, 4 * 102), 102).shape
    torch.Size([1, 100, 102])
    """
    if outputs.size(-1) % classes:
        raise ValueError(
            f"the network has {outputs.size(-1)} outputs, expected "
            f"{classes}, or several times as many: those of several frames"
        )
    return outputs.reshape(len(outputs), -1, classes)


def frame_loss(log_posteriors, lengths, labels):
    """Cross-entropy of the frames of a batch, the mean of those that count.

    The labels may be of the same audio at another speed: each frame has the
    label of the same part of the batch.

    Arguments
    ---------
    log_posteriors : torch.Tensor
        (B, T, classes).
    lengths : torch.Tensor
        (B,), relative lengths.
    labels : torch.Tensor
        (B, T'), int64.

    Example
    -------
    >>> p = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]])
    >>> labels = torch.tensor([[0, 0, 1, 1]])
    >>> float(frame_loss(p.log(), torch.ones(1), labels)).__round__(4)
    0.4904
    """
    steps = log_posteriors.size(1)
    at = torch.arange(steps, device=labels.device)
    at = ((2 * at + 1) * labels.size(1)) // (2 * steps)
    valid = valid_frames(count_frames(lengths, log_posteriors), steps)
    return nn.functional.nll_loss(
        log_posteriors[valid], labels[:, at][valid], reduction="mean"
    )
