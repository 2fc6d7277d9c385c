#!/usr/bin/env bash
# torch 2.15.0, on a CPU
# Guessed: the gradient that ctc_loss gives its log_probs is the loss's
#     derivative by them, as that of any function is.
# Does: it is the derivative by the logits of a log_softmax before it. A symbol
#     that no path holds has a gradient of 0.07 to 0.7 and no influence.
#     Behind log_softmax all is right; log-probabilities from elsewhere (two
#     models averaged, a prior taken off) get another function's gradient.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6
python - <<'PYTHON'
import torch


def loss(log_probs):
    return torch.nn.functional.ctc_loss(
        log_probs, torch.tensor([[1, 2]]), (6,), (2,), reduction="sum"
    )


def differences(function, x, step=1e-6):
    result = torch.zeros_like(x)
    for index in range(x.numel()):
        moved = torch.zeros_like(x)
        moved.view(-1)[index] = step
        change = function(x + moved) - function(x - moved)
        result.view(-1)[index] = change / (2 * step)
    return result


torch.manual_seed(0)
logits = torch.randn(6, 1, 4, dtype=torch.double)
x = logits.log_softmax(-1)
(given,) = torch.autograd.grad(loss(x.requires_grad_()), x)
by_log_probs = differences(loss, x.detach())
by_logits = differences(lambda x: loss(x.log_softmax(-1)), logits)
print("gradient given to symbol 3:", given[:, 0, 3].tolist())
print("its derivative:", by_log_probs[:, 0, 3].tolist())
assert by_log_probs[..., 3].abs().max() == 0
assert given[..., 3].min() > 0.05
assert torch.allclose(given, by_logits, atol=1e-6)
PYTHON
