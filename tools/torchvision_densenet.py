#!/usr/bin/env python3
"""Writes a DenseNet121 with random weights as torchvision saves it (in every form that was ever in use) and what PyTorch
computes with it: the reference of the test of `train --init`. tools/trunk.py takes the network from here.
usage: torchvision_densenet.py FOLDER   (needs torch; torchvision is not needed, the network stands here)"""
import json
import re
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 128, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(128), nn.Conv2d(128, 32, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))], 1)


class DenseNet121(nn.Module):
    """The structure and the names of torchvision.models.densenet121."""

    def __init__(self):
        super().__init__()
        parts = OrderedDict(conv0=nn.Conv2d(3, 64, 7, 2, 3, bias=False), norm0=nn.BatchNorm2d(64), relu0=nn.ReLU(),
                            pool0=nn.MaxPool2d(3, 2, 1))
        channels = 64
        for b, layers in enumerate((6, 12, 24, 16), 1):
            block = OrderedDict()
            for n in range(1, layers + 1):
                block[f"denselayer{n}"] = Layer(channels)
                channels += 32
            parts[f"denseblock{b}"] = nn.Sequential(block)
            if b < 4:
                parts[f"transition{b}"] = nn.Sequential(OrderedDict(
                    norm=nn.BatchNorm2d(channels), relu=nn.ReLU(), conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
                    pool=nn.AvgPool2d(2)))
                channels //= 2
        parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(parts)
        self.classifier = nn.Linear(channels, 1000)

    def forward(self, x):
        return F.relu(self.features(x))


def write_safetensors(path, tensors, **metadata):
    header, blob = {"__metadata__": metadata} if metadata else {}, b""
    for name, tensor in tensors.items():
        data = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(head)) + head + blob)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    net = DenseNet121().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        features = net(grey.expand(-1, 3, -1, -1))
    state = net.state_dict()
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])\.")
    torch.save(state, folder / "zip.pth")
    torch.save({"module." + old.sub(r"\1.\2.", k): v for k, v in state.items()}, folder / "legacy_module_old_names.pth",
               _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": {k: nn.Parameter(v, requires_grad=False) for k, v in state.items()}},
               folder / "nested.pth")
    plain = {k: v for k, v in state.items() if v.dtype == torch.float32}
    write_safetensors(folder / "plain.safetensors", plain)
    write_safetensors(folder / "told.safetensors", plain, stages="one stage\nanother")
    write_safetensors(folder / "reference.safetensors", {"grey": grey, "features": features})


if __name__ == "__main__":
    main()
