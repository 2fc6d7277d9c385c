"""Whether what promises to be captured in a CUDA graph replays."""

import torch

from speechbrain_ligru_fast.backends import loading, prover, trial
from speechbrain_ligru_fast.backends.kinds import Kind

PROMISED_BY = ("cuda", "triton")


def capture(names, device):
    """Says whether a graph of a scan replays it on other data; in a child."""
    place, kind = prover.use(device), Kind(256, 16)

    def ready(name):
        module = loading.load(name)
        x = trial.draw(kind, (), torch.Generator(), 50)
        x = trial.cast(x, device=place)
        trial.forward(module, kind.spec, x, False)
        torch.cuda.synchronize(place)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = trial.forward(module, kind.spec, x, False)[0]
        x["w"].neg_()  # In place: the graph reads it there.
        graph.replay()
        torch.cuda.synchronize(place)
        again = trial.forward(module, kind.spec, x, False)[0]
        if not torch.equal(output, again):
            raise trial.Wrong("a graph's replay gives another output")
        return {}

    prover.compete(names, place, ready, 0)
