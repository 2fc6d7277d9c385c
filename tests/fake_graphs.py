"""As much of torch.cuda as CUDA graphs need, on a CPU.

What is launched while a graph is captured does not run: it is recorded, with
the tensors it was given, and runs when the graph is replayed.
"""

import contextlib
from types import SimpleNamespace


class FakeCuda:
    """Stands for torch.cuda in ``Replays``; ``log`` says what was done."""

    class Stream:
        pass

    def __init__(self):
        self.log = log = []
        self.recording = None
        self.callers_capture = False

        class CUDAGraph:
            def __init__(self):
                self.launches = []

            def replay(self):
                log.append("replay")
                for launch in self.launches:
                    launch()

        self.CUDAGraph = CUDAGraph

    def Event(self):
        return SimpleNamespace(
            record=lambda: self.log.append("record"),
            synchronize=lambda: self.log.append("synchronize"),
        )

    def is_current_stream_capturing(self):
        return self.callers_capture

    def current_stream(self):
        return SimpleNamespace(wait_event=lambda event: self.log.append("wait"))

    @contextlib.contextmanager
    def graph(self, graph, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        # Not torch's default, which is of another device at times.
        assert isinstance(stream, self.Stream)
        self.log.append("capture")
        self.recording = graph.launches
        try:
            yield
        finally:
            self.recording = None

    def launch(self, function):
        """A kernel launch."""
        if self.recording is None:
            self.log.append("launch")
            function()
        else:
            self.recording.append(function)

    def kernel(self, kernel):
        """A Triton kernel whose launches are seen here."""

        class Kernel:
            __name__ = kernel.__name__

            def __getitem__(_, grid):
                return lambda **arguments: self.launch(
                    lambda: kernel[grid](**arguments)
                )

        return Kernel()
