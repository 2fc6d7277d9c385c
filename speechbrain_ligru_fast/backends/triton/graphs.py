"""CUDA graphs for scans that take a launch per step.

A graph holds addresses, so it runs on tensors of its own: a scan's are copied
in, the graph is replayed, its results are copied out. It is made when a scan
of the same kind comes again, and used only if its first replay gave the same
bits as the launches it was made from.
"""

import logging
import os
import threading

import torch

logger = logging.getLogger(__name__)

SWITCH = "SPEECHBRAIN_LIGRU_GRAPHS"
# Launches below which copying costs as much as launching.
FEWEST_LAUNCHES = 8
# Graphs that are kept, and bytes of their tensors.
MOST_GRAPHS = 4
MOST_BYTES = 2**29
# Kinds of scans that are remembered to see whether they come again.
MOST_KINDS = 64
# A graph that this many scans had no use for makes room for another one.
IDLE_SCANS = 256

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Replay:
    """One graph and the tensors it runs on.

    Arguments
    ---------
    tensors : dict
        What the kernels read and write by name; None for what is absent.
    results : tuple of str
        Names of what they compute.
    launch : callable
        Launches all kernels on such tensors.
    cuda : module
        torch.cuda, or what stands for it.

    Raises
    ------
    RuntimeError
        If it can't be captured, or replays something else.
    """

    def __init__(self, tensors, results, launch, cuda):
        self.results = results
        self.cuda = cuda
        # Tensors of the inference mode could not be written outside of it.
        with torch.inference_mode(False):
            self.own = {
                name: torch.empty_like(tensor)
                for name, tensor in tensors.items()
                if tensor is not None
            }
        absent = {name: None for name in tensors if name not in self.own}
        self._take(tensors)
        # Compiles what has to be compiled, which a capture must not.
        launch({**self.own, **absent})
        want = {name: self._bits(name).clone() for name in self._present()}
        self._take(tensors)
        self.graph = cuda.CUDAGraph()
        # Other threads, a data loader's say, may go on using the device.
        # A stream of this device: torch's own belongs to whichever device
        # captured first.
        with cuda.graph(
            self.graph, stream=cuda.Stream(), capture_error_mode="thread_local"
        ):
            launch({**self.own, **absent})
        self.graph.replay()
        for name, bits in want.items():
            if not torch.equal(self._bits(name), bits):
                raise RuntimeError(f"its replay gave another {name}")
        self.done = cuda.Event()
        self.done.record()

    def bytes(self):
        """Memory of its tensors."""
        return sum(tensor.nbytes for tensor in self.own.values())

    def _present(self):
        return [name for name in self.results if name in self.own]

    def _bits(self, name):
        # Compared as numbers, two NaN would differ.
        tensor = self.own[name]
        return tensor.view(_BITS[tensor.itemsize])

    def _take(self, tensors):
        # Results too: frames past an utterance's end are never written.
        for name, tensor in self.own.items():
            tensor.copy_(tensors[name])

    def run(self, tensors):
        """Runs the graph for other tensors of the same kind."""
        # The last scan may still run, on another stream.
        self.cuda.current_stream().wait_event(self.done)
        self._take(tensors)
        self.graph.replay()
        for name in self._present():
            tensors[name].copy_(self.own[name])
        self.done.record()


class Replays:
    """The graphs of a process.

    Arguments
    ---------
    cuda : module
        torch.cuda, or what stands for it.
    device_type : str
        Type of the devices that have graphs.
    """

    def __init__(self, cuda=torch.cuda, device_type="cuda"):
        self.cuda = cuda
        self.device_type = device_type
        self.enabled = os.environ.get(SWITCH) != "0"
        self.lock = threading.Lock()
        self.kinds = {}
        self.graphs = {}
        self.used = {}
        self.scans = 0

    def run(self, kind, tensors, results, launch, launches):
        """Launches kernels, or replays a graph of the same launches.

        Arguments
        ---------
        kind : tuple
            All that decides what is launched, besides the tensors.
        tensors, results, launch
            See ``Replay``.
        launches : int
            How many launches that is.
        """
        device = next(t.device for t in tensors.values() if t is not None)
        if (
            not self.enabled
            or device.type != self.device_type
            or launches < FEWEST_LAUNCHES
            # The caller's own graph takes the launches.
            or self.cuda.is_current_stream_capturing()
        ):
            launch(tensors)
            return
        kind = (kind, device) + tuple(
            (name, None if t is None else (t.shape, t.dtype))
            for name, t in tensors.items()
        )
        # Its tensors serve one scan at a time.
        with self.lock:
            graph = self._graph(kind, tensors, results, launch)
            if graph is not None:
                graph.run(tensors)
                return
        launch(tensors)

    def _graph(self, kind, tensors, results, launch):
        """The graph of a kind of scans, or None to launch."""
        self.scans += 1
        if kind not in self.graphs:
            if not self._comes_again(kind):
                return None
            if not self._has_room(tensors):
                return None
            try:
                self.graphs[kind] = Replay(tensors, results, launch, self.cuda)
            except RuntimeError as error:
                # Never tried again; the launches say if they fail too.
                self.graphs[kind] = None
                logger.warning(
                    "triton backend: no CUDA graph, a launch per step: %s",
                    error,
                )
        self.used[kind] = self.scans
        return self.graphs[kind]

    def _comes_again(self, kind):
        """Whether a kind was seen before; remembers it."""
        seen = self.kinds.pop(kind, False)
        self.kinds[kind] = True
        if len(self.kinds) > MOST_KINDS:
            del self.kinds[next(iter(self.kinds))]
        return seen

    def _has_room(self, tensors):
        """Whether one more graph may be kept; drops those out of use."""
        for kind, last in list(self.used.items()):
            if self.scans - last > IDLE_SCANS:
                graph = self.graphs.pop(kind)
                del self.used[kind]
                if graph is not None:
                    graph.done.synchronize()
        kept = [graph for graph in self.graphs.values() if graph is not None]
        more = sum(t.nbytes for t in tensors.values() if t is not None)
        total = more + sum(graph.bytes() for graph in kept)
        return len(kept) < MOST_GRAPHS and total <= MOST_BYTES


replays = Replays()
