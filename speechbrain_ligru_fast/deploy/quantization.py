"""ONNX files whose products are of 8 bits."""


def quantize(path):
    """The file beside one whose products are int8."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantized = path.with_name("int8.onnx")
    quantize_dynamic(
        path,
        quantized,
        weight_type=QuantType.QInt8,
        per_channel=True,
        # Convolutions have few weights, and are slower in 8 bits.
        op_types_to_quantize=["MatMul"],
        nodes_to_exclude=_before_logarithms(onnx.load(path).graph),
        # The recurrent product is in the body of a Scan.
        extra_options={"EnableSubgraph": True},
    )
    return quantized


def _before_logarithms(graph):
    """Names of the nodes that a logarithm depends on.

    A filter bank's energies differ by more than 8 bits can tell apart.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    waiting = [node for node in graph.node if node.op_type == "Log"]
    found = {}
    while waiting:
        node = waiting.pop()
        if node.output[0] not in found:
            found[node.output[0]] = node.name
            waiting += [made_by[i] for i in node.input if i in made_by]
    return [name for name in found.values() if name]
