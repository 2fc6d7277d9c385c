"""Layers in files, and what runs them: the makers of benchmarks/deploy.py.

Each yields what it makes: a key (runtime, model, form, dtype, as many what), a
callable that returns the output, and the file.
"""

import importlib.util
from itertools import product

import numpy as np
import onnx
import onnxruntime
import speechbrain.nnet.RNN as stock
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from speechbrain_ligru_fast.deploy.onnx import to_onnx
from speechbrain_ligru_fast.deploy.portable import portable
from torch.export import Dim

from benchmarks.cases import Case, of_as_many_parameters

LSTM = ("onnxruntime", "LSTM", "LSTM node", "fp32", "units")
FORMS = {"GRU node": {}, "Scan": {"gru": False}, "Scan, int8": {"int8": True}}


def write_node(path, case):
    """ONNX's LSTM or GRU with random weights, as torch orders its output."""
    gates, h = {"LSTM": 4, "GRU": 3}[case.model], case.hidden
    random = np.random.default_rng(0)
    sizes = {"w": (case.features,), "u": (h,)}
    sizes = {k: (2, gates * h, *v) for k, v in sizes.items()}
    weights = [
        numpy_helper.from_array(
            random.uniform(-1, 1, size).astype("f") / np.sqrt(h, dtype="f"), k
        )
        for k, size in {**sizes, "b": (2, 2 * gates * h)}.items()
    ]
    torch_s = {"linear_before_reset": 1} if case.model == "GRU" else {}
    attributes = {"hidden_size": h, "direction": "bidirectional", **torch_s}
    nodes = [
        helper.make_node("Transpose", ["x"], ["rows"], perm=[1, 0, 2]),
        helper.make_node(case.model, ["rows", *"wub"], ["y"], **attributes),
        helper.make_node("Transpose", ["y"], ["z"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["z", "shape"], ["output"]),
    ]
    weights.append(numpy_helper.from_array(np.array([0, 0, 2 * h]), "shape"))
    ends = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)]
        for name, shape in (("x", "B T F".split()), ("output", "B T H".split()))
    ]
    graph = helper.make_graph(nodes, "node", *ends, weights)
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.save(model, path)


def run_onnx(path, x, threads):
    """A callable that runs a file in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    return lambda: session.run(["output"], {"x": x.numpy()})[0]


def nodes(case, x, threads, folder):
    """ONNX Runtime's own nodes: keys, callables and files."""
    for model, same in product(("LSTM", "GRU"), ("units", "parameters")):
        if (model, same) == ("GRU", "parameters"):
            continue
        peer = Case(model, case.hidden, *case.input_shape[::-2], case.steps, 2)
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
    theirs = getattr(stock, type(net).__name__)(
        net.hidden_size, x.shape, bidirectional=True
    ).eval()
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
