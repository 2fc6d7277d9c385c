"""Whether a backend can run on this machine at all."""

import torch

from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.spec import ScanSpec


class Absent(Exception):
    """A backend can't run here: nothing is wrong with it."""


def require(backend, device):
    """Raises ``Absent`` with the reason if a backend can't run.

    Arguments
    ---------
    backend : str
        Its name.
    device : str
        cpu or cuda.
    """
    try:
        choose(backend, device, torch.float32, ScanSpec())
    # A broken library may raise anything.
    except Exception as error:
        raise Absent(error) from error
