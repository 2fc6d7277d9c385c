"""Models whose files need nothing of this package."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import torch
import twins
from torch.export import Dim

from speechbrain_ligru_fast import LiGRU, SLiGRU
from speechbrain_ligru_fast.deploy.portable import portable

GUIDE = pathlib.Path(__file__).parents[2] / "docs/guides/deploy.md"
slow = pytest.mark.skipif(
    "LIGRU_EXPORTS" not in os.environ,
    reason="compiles for half a minute, in C++ too: make exports",
)
# Prints how far outputs of files are from those of the model.
LOAD = """
import sys, torch
sys.modules["speechbrain_ligru_fast"] = None
kinds = {
    "export": lambda path: torch.export.load(path).module(),
    "script": torch.jit.load,
    "inductor": torch._inductor.aoti_load_package,
}
x, output = torch.load(sys.argv[1])
for path in sys.argv[2:]:
    model = kinds[path.rpartition("/")[2].partition(".")[0]](path)
    print(float((model(x)[0] - output).abs().max()))
"""


def trained(kind):
    net = twins.trained_layer(kind, bidirectional=True)
    return net.requires_grad_(False)


def exported(net, batch=None, longest=None):
    """With any number of frames, and of utterances unless it is given."""
    sizes = {1: Dim("time", min=2, max=longest) if longest else Dim.DYNAMIC}
    if batch is None:
        sizes[0] = Dim.DYNAMIC
    return torch.export.export(
        portable(net), (torch.randn(batch or 2, 7, 5),), dynamic_shapes=(sizes,)
    )


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [float(line) for line in done.stdout.split()]


@pytest.mark.parametrize("kind", [LiGRU, SLiGRU])
def test_files_load_where_we_are_not(tmp_path, kind):
    net = trained(kind)
    files = tmp_path / "export.pt2", tmp_path / "script.pt"
    torch.export.save(exported(net), files[0])
    torch.jit.save(torch.jit.script(portable(net)), files[1])
    x = torch.randn(3, 20, 5)
    torch.save((x, net(x)[0]), tmp_path / "run.pt")
    found = run(sys.executable, "-c", LOAD, tmp_path / "run.pt", *files)
    assert len(found) == 2 and max(found) < 1e-5


def test_an_earlier_export_fixes_no_batch():
    """torch keeps what it compiled for the first one's scan."""
    net = trained(SLiGRU)
    exported(net, batch=2)
    x = torch.randn(1, 20, 5)
    found = exported(net).module()(x)[0]
    twins.assert_close(found, net(x)[0])


def test_an_export_forgets_once(monkeypatch):
    """Not with each of its two layers: what is forgotten takes a while."""
    forgotten = []
    monkeypatch.setattr(
        "torch.compiler.reset", lambda: forgotten.append(torch._dynamo.reset())
    )
    net = trained(LiGRU)
    portable(net)(torch.randn(2, 7, 5))
    assert not forgotten
    exported(net)
    assert len(forgotten) == 1


@slow
@pytest.mark.parametrize("kind", [LiGRU, SLiGRU])
def test_a_compiled_file_runs_in_python_and_in_c_plus_plus(tmp_path, kind):
    """The program is the guide's."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ is installed")
    net, path = trained(kind), tmp_path / "inductor.pt2"
    torch._inductor.aoti_compile_and_package(
        exported(net, batch=1), package_path=str(path)
    )
    x = torch.linspace(-1, 1, 20 * 5).view(1, 20, 5)
    torch.save((x, net(x)[0]), tmp_path / "run.pt")
    (found,) = run(sys.executable, "-c", LOAD, tmp_path / "run.pt", path)
    assert found < 1e-5

    (source,) = re.findall(r"```cpp\n(.*?)```", GUIDE.read_text(), re.S)
    (tmp_path / "main.cpp").write_text(source)
    torch_folder = pathlib.Path(torch.__file__).parent
    run(
        *(
            compiler,
            "-std=c++20",
            tmp_path / "main.cpp",
            "-o",
            tmp_path / "main",
        ),
        *(f"-I{torch_folder}/include", f"-L{torch_folder}/lib"),
        f"-I{torch_folder}/include/torch/csrc/api/include",
        *(f"-Wl,-rpath,{torch_folder}/lib", "-Wl,--no-as-needed"),
        *("-ltorch", "-ltorch_cpu", "-lc10"),
    )
    found = run(tmp_path / "main", path, "20", "5")
    twins.assert_close(torch.tensor(found), net(x)[0].flatten())


@slow
@pytest.mark.parametrize("kind", [LiGRU, SLiGRU])
def test_executorch(kind):
    exir = pytest.importorskip("executorch.exir")
    from executorch.runtime import Runtime

    net = trained(kind)
    program = exir.to_edge(exported(net, 1, longest=50)).to_executorch()
    # The method does not keep what it is of.
    buffer = program.buffer
    loaded = Runtime.get().load_program(buffer)
    method = loaded.load_method("forward")
    x = torch.randn(1, 20, 5)
    for ours, theirs in zip(net(x), method.execute([x])):
        twins.assert_close(theirs, ours)


def test_the_model_stays_as_it_is():
    net = torch.nn.ModuleDict({"rnn": LiGRU(4, [None, None, 3])}).eval()
    names = list(net.state_dict())
    copied = portable(net)
    assert isinstance(net["rnn"], LiGRU) and list(net.state_dict()) == names
    assert not isinstance(copied["rnn"], LiGRU)
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("script", [False, True])
def test_lengths_and_states_as_the_layer(script):
    torch.manual_seed(0)
    net = SLiGRU(4, [None, None, 3], num_layers=2, bidirectional=True).eval()
    copied = portable(net)
    if script:
        copied = torch.jit.script(copied)
    x, hx = torch.randn(3, 8, 3), torch.randn(4, 3, 4)
    lengths = torch.tensor([1.0, 0.1, 0.6])
    x[1, 1:] = float("nan")
    with torch.no_grad():
        for ours, theirs in zip(net(x, hx, lengths), copied(x, hx, lengths)):
            twins.assert_close(theirs, ours)
