"""Random scans, run on a backend and compared with float64 on the CPU."""

import torch

from speechbrain_ligru_fast import ligru_scan

LEAVES = ("w", "u", "h0", "ln_weight", "ln_bias")
DTYPES = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def allow_tf32(on):
    """Whether float32 products may round their operands to TF32.

    Importing SpeechBrain allows it.
    """
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def expect_usable(device):
    """Raises if an error has spoilt the device for the whole process."""
    if device != "cpu":
        torch.cuda.synchronize()


def draw(
    generator,
    hidden,
    batch=3,
    steps=7,
    directions=1,
    layernorm=False,
    affine=False,
    lengths=False,
    h0=False,
    mask=False,
    **options,
):
    """Arguments of ``ligru_scan`` on the CPU in float64, and a gradient.

    Arguments
    ---------
    generator : torch.Generator
        Source of the numbers.
    hidden, batch, steps, directions, layernorm, affine, lengths, h0, mask
        Sizes, and which options take part.
    **options
        Further options of the scan.

    Returns
    -------
    dict
        Arguments by name, and ``grad``: the gradient of the output.

    Example
    -------
    >>> given = draw(torch.Generator(), 5, directions=2)
    >>> given["grad"].shape
    torch.Size([3, 7, 10])
    """

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    rows = directions * batch
    given = {
        "w": normal(batch, steps, 2 * hidden),
        "u": normal(2 * hidden, hidden) / hidden**0.5,
        "grad": normal(batch, steps, directions * hidden),
        "directions": directions,
        "layernorm": layernorm,
        **options,
    }
    if affine:
        given["ln_weight"] = 1 + 0.3 * normal(2 * hidden)
        given["ln_bias"] = 0.3 * normal(2 * hidden)
    if h0:
        given["h0"] = normal(rows, hidden)
    if mask:
        given["mask"] = (normal(rows, hidden) > -0.5).double() / 0.7
    if lengths:
        given["lengths"] = torch.randint(
            0, steps + 1, (batch,), generator=generator
        )
    return given


def rounded(given, operand, io):
    """The arguments as ``operand`` and ``io`` types hold them, in float64."""
    result = dict(given)
    for name, value in given.items():
        if torch.is_tensor(value) and value.is_floating_point():
            dtype = DTYPES[operand if name == "u" else io]
            result[name] = value.to(dtype).double()
    return result


def run(given, backend, device, operand=None, io=None):
    """Output and gradients of a scan by name, in float64 on the CPU.

    Without types it runs in float64.
    """
    moved = {}
    for name, value in given.items():
        if torch.is_tensor(value):
            if value.is_floating_point() and operand is not None:
                value = value.to(DTYPES[operand if name == "u" else io])
            value = value.to(device)
            if name in LEAVES:
                value.requires_grad_()
        moved[name] = value
    grad = moved.pop("grad")
    leaves = {name: moved[name] for name in LEAVES if name in moved}
    output = ligru_scan(**moved, backend=backend)
    grads = torch.autograd.grad(output, leaves.values(), grad)
    found = {"output": output}
    found.update((f"grad {name}", g) for name, g in zip(leaves, grads))
    return {name: x.detach().double().cpu() for name, x in found.items()}


def by_step(w, directions):
    """(B, T, 2H) -> (T, R, 2H) float32: what a launch a step reads."""
    if directions == 2:
        w = torch.cat([w, w.flip(1)])
    return w.float().transpose(0, 1).contiguous()


def states(w, directions):
    """(T + 1, R, H) float32, zero: step t reads one and writes the next."""
    batch, steps, width = w.shape
    return torch.zeros(
        steps + 1, directions * batch, width // 2, device=w.device
    )


def by_utterance(states, directions):
    """(T, R, H) -> (B, T, D * H): the operator's layout.

    Example
    -------
    >>> by_utterance(torch.zeros(7, 6, 5), directions=2).shape
    torch.Size([3, 7, 10])
    """
    parts = list(states.transpose(0, 1).chunk(directions))
    if directions == 2:
        parts[1] = parts[1].flip(1)
    return torch.cat(parts, 2)
