"""As much of torch.cuda as CUDA graphs need, on a CPU.

What is launched while a graph is captured does not run: it is recorded, with
the tensors it was given, and runs when the graph is replayed.
"""

import contextlib
import types


class FakeCuda:
    """Stands for torch.cuda in ``Replays``; ``log`` says what was done."""

    def __init__(self):
        self.log = []
        self.recording = None
        self.callers_capture = False
        fake = self

        class CUDAGraph:
            def __init__(self):
                self.launches = []

            def replay(self):
                fake.log.append("replay")
                for launch in self.launches:
                    launch()

        class Event:
            def record(self):
                fake.log.append("record")

            def synchronize(self):
                fake.log.append("synchronize")

        class Stream:
            pass

        self.CUDAGraph, self.Event, self.Stream = CUDAGraph, Event, Stream

    def is_current_stream_capturing(self):
        return self.callers_capture

    def current_stream(self):
        return types.SimpleNamespace(
            wait_event=lambda event: self.log.append("wait")
        )

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


class Kernel:
    """A Triton kernel whose launches a FakeCuda sees."""

    def __init__(self, kernel, cuda):
        self.kernel, self.cuda = kernel, cuda
        self.__name__ = kernel.__name__

    def __getitem__(self, grid):
        def launch(**arguments):
            self.cuda.launch(lambda: self.kernel[grid](**arguments))

        return launch
