#!/usr/bin/env python3
"""Networks of other projects with random weights, films, and what those projects' own code computes from the films' PNG files:
the reference of `chexbox model import` (tests/it/import.rs).
usage: import_reference.py FOLDER BINARY [--full]

Without --full the networks have a few layers and are small enough to be committed: tests/data/import was made so, with torch
2.11.0, torchvision 0.26.0, torchxrayvision 1.5.7, scikit-image and Pillow. --full writes DenseNet121s."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import skimage.io
import torch
import torchvision
import torchxrayvision as xrv
from PIL import Image

# Sizes of the networks' inputs, and films as (columns, rows): the size itself, and with a border that the middle leaves out.
TINY = dict(growth_rate=8, block_config=(1, 2, 2, 1), num_init_features=16, bn_size=2)
FULL = dict(growth_rate=32, block_config=(6, 12, 24, 16), num_init_features=64, bn_size=4)
IMAGENET = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def lived(net, images):
    """Statistics and head that are not those of the start, so that every number takes part."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, std=0.2)
            module.momentum = None
    net.train()
    with torch.no_grad():
        for _ in range(2):
            net.features(images)
    return net.eval()


def films(folder, side, binary):
    """The binary's drawn films: it reads nothing but chest films."""
    made = []
    for name, width, height, seed in (("square", side, side, 1), ("wide", side + 31, side, 2), ("tall", side, side + 22, 3)):
        path = folder / f"{name}.png"
        subprocess.run([binary, "test-film", "--out", path, "--width", str(width), "--height", str(height), "--seed", str(seed)],
                       check=True)
        # Drawn in 16 bits, which torchvision would cut off.
        Image.fromarray((skimage.io.imread(path) >> 8).astype(np.uint8)).save(path, optimize=True)
        made.append(path)
    return made


def by_torchxrayvision(path):
    """As its documentation prepares a film, without the resizing that a film of the network's size does not need."""
    image = skimage.io.imread(path)
    image = xrv.datasets.normalize(image if image.ndim == 2 else image.mean(2), 255)[None]
    return torch.from_numpy(xrv.datasets.XRayCenterCrop()(image)).float()[None]


def by_torchvision(path):
    return IMAGENET(torchvision.transforms.functional.to_tensor(Image.open(path).convert("RGB")))[None]


def main():
    folder, full, binary = Path(sys.argv[1]), "--full" in sys.argv, sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    shape, side = (FULL, 224) if full else (TINY, 192)
    torch.manual_seed(5)
    made = films(folder, side, binary)
    reference = {"side": side, "torchxrayvision": {}, "torchvision": {}}
    net = xrv.models.DenseNet(num_classes=18, in_channels=1, **shape)
    with torch.no_grad():
        torch.nn.init.normal_(net.classifier.weight, std=0.3)
    net = lived(net, torch.cat([by_torchxrayvision(p) for p in made]))
    with torch.no_grad():
        logits = {p.name: net(by_torchxrayvision(p))[0] for p in made}
        # Where a film is called is half of what an operating point decides: between the films' own probabilities.
        points = torch.sigmoid(torch.stack(list(logits.values()))).mean(0)
        points[[5, 14]] = torch.nan
        net.op_threshs = points
        scaled = {p.name: net(by_torchxrayvision(p))[0] for p in made}
    torch.save(net.state_dict(), folder / "torchxrayvision.pt")
    for p in made:
        calls = [None if np.isnan(at) else bool(v >= 0.5) for v, at in zip(scaled[p.name].numpy(), points.numpy())]
        reference["torchxrayvision"][p.name] = {"logits": logits[p.name].tolist(), "calls": calls}

    net = torchvision.models.DenseNet(num_classes=3, **shape)
    square = made[0]
    net = lived(net, by_torchvision(square))
    with torch.no_grad():
        reference["torchvision"][square.name] = {"logits": net(by_torchvision(square))[0].tolist()}
    torch.save({"state_dict": {"module." + k: v for k, v in net.state_dict().items()}}, folder / "torchvision.pth")
    (folder / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
