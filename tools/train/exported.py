"""Go on training from an exported network: the one that ships, when its checkpoint is not at hand.

An export has its batch normalisations folded into the convolutions. They are unfolded here so that the
network computes the same as before, and so that training finds what it expects: each normalisation gets the
mean and the spread that its input really has on a batch of training pictures as running statistics, and the
scale and shift that undo them.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn
from ultralytics.nn.modules import Conv

Convolution = nn.Conv2d | nn.ConvTranspose2d

WRAPPED = "detector."  # before the names of a network that was exported with a density output
# What becomes of a class that the exported network did not know: this much less likely than the first.
NEW_CLASS_LOGIT = -3.0


def load_exported(model: nn.Module, path: Path, pixels: Tensor) -> int:
    """Copy the convolutions of an OpenVINO network into `model`; returns how many tensors were copied.

    `pixels` (n, 3, h, w) is a batch like those of the training, n large enough for statistics.
    """
    tensors = exported_tensors(path)
    copied = 0
    with torch.no_grad():
        for name, module in model.named_modules():
            own = name if f"{name}.weight" in tensors else name.removeprefix(WRAPPED)
            if isinstance(module, Convolution) and f"{own}.bias" in tensors:
                copied += _copy(module, _parent(model, name), tensors, own)
        model.train()
        hooks = [m.register_forward_hook(_unfold) for m in model.modules() if _folded(m, tensors, model)]
        model(pixels)
        for hook in hooks:
            hook.remove()
    return copied


def exported_tensors(path: Path) -> dict[str, Tensor]:
    """Weights and biases of the convolutions of an IR file, by the names that they have in the network."""
    tensors: dict[str, Tensor] = {}
    for node in ov.Core().read_model(path).get_ops():
        if node.get_type_name() != "Constant":
            continue
        name = node.get_friendly_name().removesuffix("_compressed")
        weight = re.fullmatch(r"self\.(.+\.weight)", name)
        bias = re.fullmatch(r"__module\.(.+)/aten::_convolution(?:_\d+)?/Reshape", name)
        if weight:
            tensors[weight[1]] = torch.from_numpy(node.data.astype(np.float32))
        elif bias:
            tensors[f"{bias[1]}.bias"] = torch.from_numpy(node.data.astype(np.float32).ravel())
    return tensors


def _copy(module: Convolution, parent: nn.Module, tensors: dict[str, Tensor], name: str) -> int:
    """Into one convolution; its bias goes into the normalisation behind it, where there is one."""
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    known = len(weight)
    if module.weight.shape[1:] != weight.shape[1:] or len(module.weight) < known:
        return 0
    module.weight[:known] = weight
    module.weight[known:] = weight[:1]
    target = parent.bn.bias if isinstance(parent, Conv) else module.bias
    target[:known] = bias
    target[known:] = bias[0] + NEW_CLASS_LOGIT
    return 2


def _folded(module: nn.Module, tensors: dict[str, Tensor], model: nn.Module) -> bool:
    names = {id(m): n for n, m in model.named_modules()}
    if not isinstance(module, Conv):
        return False
    name = f"{names[id(module)]}.conv.weight"
    return name in tensors or name.removeprefix(WRAPPED) in tensors


def _unfold(module: Conv, inputs: tuple[Tensor], _: Tensor) -> Tensor:
    """Set the normalisation so that it returns its input plus its shift, then do as it would."""
    raw, bn = module.conv(inputs[0]), module.bn
    mean, variance = raw.mean((0, 2, 3)), raw.var((0, 2, 3), unbiased=False)
    shift = bn.bias.clone()
    bn.running_mean.copy_(mean)
    bn.running_var.copy_(variance)
    bn.weight.copy_((variance + bn.eps).sqrt())
    bn.bias.copy_(mean + shift)
    return module.act(raw + shift[None, :, None, None])


def _parent(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])
