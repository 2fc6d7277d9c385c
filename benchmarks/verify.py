"""How wrong is a result?"""


def relative_error(got, want):
    """Largest difference over the largest expected magnitude.

    Example
    -------
    >>> import torch
    >>> relative_error(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    0.5
    """
    difference = (got.double() - want.double()).abs().max().item()
    scale = want.abs().max().item()
    return difference / scale if scale > 0 else difference
