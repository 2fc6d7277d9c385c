"""A portable module as a model of ``onnx_ir``, by torch's exporter."""

import torch

from speechbrain_ligru_fast.deploy.spectrum import drop_weights, use_spectra


class _Named(torch.nn.Module):
    """Calls a module by the names of its arguments, in a fixed order."""

    def __init__(self, module, names):
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *inputs):
        return self.module(**dict(zip(self.names, inputs)))


def convert(plain, arguments, dims, outputs, opset):
    """A portable module as a model of ``onnx_ir``.

    Arguments
    ---------
    plain : torch.nn.Module
        See ``portable``.
    arguments : dict
        An example of each argument by its name.
    dims : dict
        By the same names, what ``torch.export`` calls dynamic shapes.
    outputs : list of str
        Their names.
    opset : int
        See ``to_onnx``.

    Returns
    -------
    onnx_ir.Model
    """
    use_spectra(plain)
    named = _Named(plain, list(arguments))
    program = torch.export.export(
        named,
        tuple(arguments.values()),
        dynamic_shapes=(tuple(dims.values()),),
    )
    _drop_idle_squeezes(program.graph)
    exported = torch.onnx.export(
        program,
        dynamo=True,
        input_names=list(arguments),
        output_names=outputs,
        opset_version=opset,
        verbose=False,
    )
    _drop_traces(exported.model)
    _spell_zeros(exported.model)
    return drop_weights(exported.model, named)


def _drop_idle_squeezes(graph):
    """Removes what squeezes an axis that is longer than 1, and so nothing.

    torch.onnx of torch 2.15 makes an invalid node of it. SpeechBrain's
    convolutions do that.
    """
    for node in list(graph.nodes):
        if node.target is not torch.ops.aten.squeeze.dim:
            continue
        tensor, axis = node.args
        size = tensor.meta["val"].shape[axis]
        if isinstance(size, int) and size != 1:
            node.replace_all_uses_with(tensor)
            graph.erase_node(node)


def _drop_traces(model):
    """Removes the stack traces, with this machine's paths, from all nodes."""
    from onnx_ir.traversal import RecursiveGraphIterator

    for node in RecursiveGraphIterator(model.graph):
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()


def _spell_zeros(model):
    """Writes down that zeros are float32, as ONNX has it where nothing is said.

    tract 0.23.9 takes those for float64, and refuses the model.
    """
    import onnx_ir
    from onnx_ir.traversal import RecursiveGraphIterator

    zero = onnx_ir.tensor([0.0], onnx_ir.DataType.FLOAT)
    for node in RecursiveGraphIterator(model.graph):
        if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
            node.attributes.add(onnx_ir.AttrTensor("value", zero))
