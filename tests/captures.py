"""Ways to capture a module, or to send it through a file."""

import copy
import io
import pickle

import torch
from torch.export import Dim

# Decompositions and partition of inductor, without compiling C++.
LIKE_INDUCTOR = "aot_eager_decomp_partition"
# (batch, frames): dynamo fixes the first and leaves open what changes next.
SIZES = ((4, 12), (5, 14), (6, 11), (6, 11), (3, 40), (20, 13))


def eager(net, *example):
    return net


def compiled(net, *example, backend="aot_eager"):
    torch._dynamo.reset()
    return torch.compile(net, backend=backend, fullgraph=True)


def scripted(net, *example):
    return torch.jit.script(net)


def traced(net, *example):
    return torch.jit.trace(net, example, check_trace=False)


def exported(net, *example):
    return torch.export.export(net, example).module()


def open_export(net, x, lengths, **options):
    """A program with the batch size and the length left open."""
    sizes = {"x": {0: Dim.AUTO, 1: Dim.AUTO}, "lengths": {0: Dim.AUTO}}
    return torch.export.export(
        net, (x,), {"lengths": lengths}, dynamic_shapes=sizes, **options
    )


def through_a_file(save, load, model):
    file = io.BytesIO()
    save(model, file)
    file.seek(0)
    return load(file)


def script_in_a_file(net):
    return through_a_file(torch.jit.save, torch.jit.load, scripted(net))


def like_inductor(net):
    return compiled(net, backend=LIKE_INDUCTOR)


def pickled(net):
    return pickle.loads(pickle.dumps(net))


COPIES = (like_inductor, script_in_a_file, copy.deepcopy, pickled)
