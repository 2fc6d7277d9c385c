"""The recurrence with cuDNN's graph API: one graph is one step.

A cuDNN graph has no loop, so it is launched once a step; ``CudnnSteps`` is a
peer of the benchmark, no backend of the package. It needs nvidia-cudnn-frontend
(1.18.0 depends on nothing else) and runs forward, LiGRU only: LayerNorm sums
over all units between the products and the gates, and would end the fusion.
"""

import torch

from benchmarks.gpu import scans

# What a step's graph reads and writes, in the order of ``CudnnSteps``.
NAMES = ("operand", "candidate", "gate", "w_a", "w_z", "h", "new", "rounded")


def step_graph(cudnn, rows, hidden, dtype, **options):
    """The graph of one step: two products, gates and the new state.

    Arguments
    ---------
    cudnn : module
        nvidia-cudnn-frontend's.
    rows, hidden : int
        Rows and hidden units.
    dtype : torch.dtype
        Of the products' operands: bfloat16 or float16.
    **options
        Of cudnn.pygraph: ``handle``, or ``device_property`` to compile for a
        GPU that is not here.

    Returns
    -------
    graph : cudnn.pygraph
        Built, ready to run.
    uids : dict
        Tensors' numbers by the names in ``NAMES``.
    """
    real = cudnn.data_type.FLOAT
    half = {
        torch.bfloat16: cudnn.data_type.BFLOAT16,
        torch.float16: cudnn.data_type.HALF,
    }[dtype]
    graph = cudnn.pygraph(
        io_data_type=real,
        intermediate_data_type=real,
        compute_data_type=real,
        **options,
    )

    def tensor(name, shape, stride, kind=real):
        return graph.tensor(
            name=name,
            dim=[1, *shape],
            stride=[shape[0] * shape[1], *stride],
            data_type=kind,
        )

    def by_row(name, width=hidden, kind=real):
        return tensor(name, (rows, hidden), (width, 1), kind)

    def weights(name):
        # U's rows are the product's columns.
        return tensor(name, (hidden, hidden), (1, hidden), half)

    operand = by_row("operand", kind=half)
    candidate, gate = weights("candidate"), weights("gate")
    w_a, w_z = by_row("w_a", 2 * hidden), by_row("w_z", 2 * hidden)
    h = by_row("h")
    a = graph.add(a=graph.matmul(A=operand, B=candidate), b=w_a)
    z = graph.add(a=graph.matmul(A=operand, B=gate), b=w_z)
    c, z = graph.relu(input=a), graph.sigmoid(input=z)
    # z h + (1 - z) c with one product less.
    new = graph.add(a=c, b=graph.mul(a=z, b=graph.sub(a=h, b=c)))
    rounded = graph.identity(input=new)
    new.set_output(True).set_data_type(real)
    rounded.set_output(True).set_data_type(half)
    graph.build([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    tensors = (operand, candidate, gate, w_a, w_z, h, new, rounded)
    return graph, {n: t.get_uid() for n, t in zip(NAMES, tensors)}


class CudnnSteps:
    """A LiGRU's forward on a GPU, a launch a step.

    Arguments
    ---------
    w : Tensor
        (B, T, 2H) projected input.
    u : Tensor
        (2H, H) weights, bfloat16 or float16.
    directions : int
        1 or 2.

    Raises
    ------
    ImportError
        Without nvidia-cudnn-frontend or the cuDNN library.
    RuntimeError
        If cuDNN has no engine for the graph.
    """

    def __init__(self, w, u, directions):
        import cudnn

        self.cudnn, self.directions = cudnn, directions
        batch, _, width = w.shape
        rows, hidden = directions * batch, width // 2
        self.handle = cudnn.create_handle()
        self.graph, self.uids = step_graph(
            cudnn, rows, hidden, u.dtype, handle=self.handle
        )
        self.workspace = torch.empty(
            max(1, self.graph.get_workspace_size()),
            dtype=torch.uint8,
            device=w.device,
        )
        self.u = u.contiguous()
        self.states = scans.states(w, directions)
        self.rounded = self.states.to(u.dtype)

    def _addresses(self, w):
        """Each step's tensors by number."""
        hidden, float_bytes = self.states.size(2), 4
        for step in range(self.states.size(0) - 1):
            tensors = {
                "operand": self.rounded[step],
                "candidate": self.u,
                "gate": self.u[hidden:],
                "w_a": w[step],
                "h": self.states[step],
                "new": self.states[step + 1],
                "rounded": self.rounded[step + 1],
            }
            found = {
                self.uids[n]: tensor.data_ptr() for n, tensor in tensors.items()
            }
            # Half of each row: an address, since its rows lie apart.
            found[self.uids["w_z"]] = w[step].data_ptr() + float_bytes * hidden
            yield found

    def __call__(self, w):
        """(B, T, D * H) states, from a zero state."""
        w = scans.by_step(w, self.directions)
        stream = torch.cuda.current_stream().cuda_stream
        self.cudnn.set_stream(handle=self.handle, stream=stream)
        workspace = self.workspace.data_ptr()
        for addresses in self._addresses(w):
            self.graph.execute(addresses, workspace, handle=self.handle)
        return scans.by_utterance(self.states[1:], self.directions)
