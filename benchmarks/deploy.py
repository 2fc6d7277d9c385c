"""How fast, how large and how exact are exported layers on this CPU?

    python -m benchmarks.deploy
    python -m benchmarks.deploy --others --batch 1 --steps 100 --threads 1

A bidirectional LiGRU and SLiGRU in each form that ``to_onnx`` writes take turns
in ONNX Runtime with its own LSTM and GRU nodes, of as many units, and an LSTM
of as many parameters: A B C, then C B A, again and again. ``--others`` adds
what else a file is made for; what is not installed is left out.

Rows are appended to build/benchmarks/deploy.csv unless --out names another
file. Ratios are to the LSTM node of as many units, turn by turn. The machine's
load before each shape is a column: with others at work times mean little.
"""

import importlib.util
import os
import pathlib
import tempfile
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import product

import onnxruntime
import speechbrain.nnet.RNN as stock
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch.export import Dim

import speechbrain_ligru_fast as fast
from benchmarks import rows
from benchmarks.cases import Case, of_as_many_parameters
from speechbrain_ligru_fast.backends.turns import take_turns
from speechbrain_ligru_fast.deploy.onnx import to_onnx
from speechbrain_ligru_fast.deploy.portable import portable

# What takes turns has a key: runtime, model, form, type, as many what.


LSTM = ("onnxruntime", "LSTM", "LSTM node", "fp32", "units")
PEERS = ("LSTM", "units"), ("LSTM", "parameters"), ("GRU", "units")
FORMS = {"GRU node": {}, "Scan": {"gru": False}, "Scan, int8": {"int8": True}}


def write_node(path, case):
    """torch's LSTM or GRU with random weights, as torch writes it."""
    kind, x = getattr(torch.nn, case.model), torch.zeros(case.input_shape)
    how = {"batch_first": True, "bidirectional": True}
    net = kind(case.features, case.hidden, **how).eval()
    ends = {"input_names": ["x"], "output_names": ["output"]}
    torch.onnx.export(
        net, (x,), path, external_data=False, verbose=False, **ends
    )


def run_onnx(path, x, threads):
    """A callable that runs a file in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    return lambda: session.run(["output"], {"x": x.numpy()})[0]


def nodes(case, x, threads, folder):
    """ONNX Runtime's own nodes: keys, callables and files."""
    for model, same in PEERS:
        peer = replace(case, model=model)
        if same == "parameters":
            peer = of_as_many_parameters(case, model)
        path = folder / f"{model}-{same}.onnx"
        write_node(path, peer)
        key = ("onnxruntime", model, f"{model} node", "fp32", same)
        yield key, run_onnx(path, x, threads), path
        if key == LSTM:  # No int8 GRU exists.
            small = folder / "int8.onnx"
            kind = {"weight_type": QuantType.QInt8, "per_channel": True}
            quantize_dynamic(path, small, **kind)
            key = ("onnxruntime", model, f"{model} node", "int8", same)
            yield key, run_onnx(small, x, threads), small


def ours(net, x, threads, folder, others):
    """One of our layers in each form: keys, callables and files."""
    name = type(net).__name__
    for form, options in FORMS.items():
        if name == "SLiGRU" and form == "GRU node":
            continue
        form, _, dtype = form.partition(", ")
        path = folder / f"{name}-{form}-{dtype}.onnx"
        if not path.exists():  # By an earlier shape.
            to_onnx(net, path, lengths=False, **options)
        key = name, form, dtype or "fp32", ""
        yield ("onnxruntime", *key), run_onnx(path, x, threads), path
        if others and not dtype and importlib.util.find_spec("openvino"):
            yield ("openvino", *key), run_openvino(path, x, threads), path
    if others:
        for runtime, call, path in not_onnx(net, x, folder):
            yield (runtime, name, "", "fp32", ""), call, path


def run_openvino(path, x, threads):
    """A callable that runs a file in OpenVINO."""
    import openvino

    # On CPUs that have bfloat16 it would take that.
    how = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = openvino.compile_model(path, "CPU", how)
    return lambda: model([x.numpy()])[0]


def not_onnx(net, x, folder):
    """What torch itself and ExecuTorch run."""
    yield "this package", lambda: net(x)[0], None
    kind = getattr(stock, type(net).__name__)
    theirs = kind(net.hidden_size, x.shape, bidirectional=True).eval()
    # It keeps buffers that hold nothing learnt.
    theirs.load_state_dict(net.state_dict(), strict=False)
    yield "SpeechBrain", lambda: theirs(x)[0], None
    path = folder / f"{type(net).__name__}.pt"
    torch.jit.script(portable(net)).save(path)
    script = torch.jit.load(path)
    yield "TorchScript", lambda: script(x)[0], path
    sizes = {1: Dim("time", min=2, max=x.size(1) + 1)}
    program = torch.export.export(portable(net), (x,), dynamic_shapes=(sizes,))
    path = path.with_suffix(".pt2")
    torch.export.save(program, path)
    module = program.module()
    yield "torch.export", lambda: module(x)[0], path
    path = path.with_name(f"aoti-{path.name}")
    torch._inductor.aoti_compile_and_package(program, package_path=str(path))
    loaded = torch._inductor.aoti_load_package(str(path))
    yield "AOTInductor", lambda: loaded(x)[0], path
    if importlib.util.find_spec("executorch"):
        from executorch.exir import to_edge
        from executorch.runtime import Runtime

        path = path.with_suffix(".pte")
        path.write_bytes(to_edge(program).to_executorch().buffer)
        # The method does not keep its program alive.
        lite = Runtime.get().load_program(path)
        method = lite.load_method("forward")
        yield "ExecuTorch", lambda: (lite, method.execute([x])[0])[1], path


@torch.no_grad()
def measure(case, threads, args, folder):
    """Times all that take turns; yields a dict a row."""
    load = round(os.getloadavg()[0], 2)
    torch.set_num_threads(threads)
    torch.manual_seed(0)  # Every shape's nets are those of the first's files.
    shape = (case.hidden, [None, None, case.features])
    nets = [
        kind(*shape, bidirectional=True).eval()
        for kind in (fast.LiGRU, fast.SLiGRU)
    ]
    x = torch.randn(case.input_shape)
    want = {type(net).__name__: net(x)[0] for net in nets}
    made = [*nodes(case, x, threads, folder)]
    for net in nets:
        made += ours(net, x, threads, folder, args.others)
    times = take_turns({key: call for key, call, _ in made}, args.seconds)
    for key, call, path in made:
        names = "runtime", "model", "form", "dtype", "same"
        row = asdict(case) | dict(zip(names, key)) | {"others": args.others}
        row |= {"threads": threads, "load": load, "rounds": len(times[key])}
        row["size_mb"] = round(path.stat().st_size / 1e6, 3) if path else ""
        exact = want.get(row["model"])
        if exact is not None:
            error = (torch.as_tensor(call()) - exact).abs().max()
            row["difference"] = f"{float(error / exact.abs().max()):.1e}"
        row |= rows.compared(times[key], times[LSTM])
        print(*key, f"{row['p50_ms']} ms, {row['ratio_p50']}x", sep="; ")
        yield row


def main(argv=None):
    """Runs the tool."""
    sizes = {"threads": [1, 2], "batch": [1, 8], "steps": [100, 400]}
    tool = rows.parser("benchmarks.deploy", __doc__, sizes.items())
    tool.add_argument("--hidden", type=int, default=512, help="and features")
    tool.add_argument("--others", action="store_true")
    told = {"onnxruntime": version("onnxruntime")}
    args, origin = rows.begin(tool, argv, **told)
    with tempfile.TemporaryDirectory() as folder:
        for threads, batch, steps in product(*(vars(args)[x] for x in sizes)):
            case = Case("LiGRU", args.hidden, args.hidden, batch, steps, 2)
            made = measure(case, threads, args, pathlib.Path(folder))
            rows.write(args.out, origin, made)


if __name__ == "__main__":
    main()
