#!/usr/bin/env python3
"""Trunks of the DenseNet121 as files: from a bundle of ours, from and to a .safetensors with torchvision's names.

  trunk.py mean POOL FIRST SECOND FILE   FILE: the mean of both trunks' weights, statistics of norms counted anew on films of POOL. It
                                         pays where one trunk comes from the other

FIRST and SECOND: the folder of a bundle, or a .safetensors. FILE begins a run with `chexbox train --init FILE`; it tells the stages of
its training to the model card. POOL: as in tools/teacher.py. pip install -r tools/teacher.requirements.txt
"""

import hashlib
import pathlib
import sys
import tomllib

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import teacher as T
from torchvision_densenet import DenseNet121

SIZE, BATCH = 160, 32
MEAN, STD = 0.5, 0.25  # of the model's input; a teacher's has 0.5 and 0.5
SETTLED_ON, COUNTED_ON = 200, 640  # films
TRUNK_OF = "trunk of "  # what the history of a trunk that was learnt elsewhere begins with: src/train/init.rs


def grey():
    """The features of a DenseNet121 for one channel."""
    features = DenseNet121().features
    features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return features


def in_scale(x):
    """A teacher's picture in the model's scale."""
    return ((x * 0.5 + 0.5 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def load(features, path, pool):
    """Gives it the trunk of the file; what a card says of the trunk comes back."""
    if not path.is_dir():
        with safe_open(path, "pt") as file:
            take(features, {name: file.get_tensor(name) for name in file.keys()}, path)
            return (file.metadata() or {}).get("stages", f"{TRUNK_OF}{path.name}, a torchvision DenseNet trained elsewhere")
    manifest, model = manifest_of(path)
    take(features, of_bundle(model), path)
    some = pool.train[::max(1, len(pool.train) // SETTLED_ON)][:SETTLED_ON]
    settle(features, in_scale(T.plain(pool.films[some], SIZE)))
    return f"{TRUNK_OF}{manifest['name']} {manifest['version']} (sha256 {manifest['file']['sha256']}), whose card has its stages"


def write(path, features, stages):
    trunk = {f"features.{name}": t.contiguous() for name, t in features.state_dict().items() if t.is_floating_point()}
    save_file(trunk, path, {"stages": stages})


def manifest_of(folder):
    """The manifest of a bundle and its model file, which must be the one that it names and see films as students do."""
    manifest = tomllib.loads((folder / "manifest.toml").read_text())
    model, seen = folder / manifest["file"]["name"], manifest["input"]
    if hashlib.sha256(model.read_bytes()).hexdigest() != manifest["file"]["sha256"]:
        sys.exit(f"{model} is not the file that {folder}/manifest.toml names: copy the bundle again")
    if (seen["mean"], seen["std"], seen["detail"]) != (MEAN, STD, T.SIDE):
        sys.exit(f"{folder}/manifest.toml: mean {seen['mean']}, std {seen['std']}, detail {seen['detail']}; needed are {MEAN}, {STD}, {T.SIDE}")
    return manifest, model


def take(features, tensors, path):
    own, faults = features.state_dict(), []
    for name, like in own.items():
        found = tensors.get(f"features.{name}")
        if name == "conv0.weight" and found is not None and found.shape[1] == 3:
            found = found.sum(1, keepdim=True)  # a grey film in all three colours
        if name.endswith("num_batches_tracked"):
            continue
        if found is None or found.shape != like.shape:
            faults.append(f"features.{name} is {'missing' if found is None else f'{list(found.shape)}, needed is {list(like.shape)}'}")
        own[name] = found
    if faults:
        sys.exit(f"{path} is no DenseNet121 with torchvision's names: {'; '.join(faults[:5])}; {len(faults)} in all")
    features.load_state_dict(own)


def of_bundle(model):
    """torchvision's tensors from our ONNX file of integers, as src/model/quantize/tensors.rs gives them. Norms behind a convolution
    are folded into it: they come back as its bias."""
    names = {i.name: numpy_helper.to_array(i) for i in onnx.load(model).graph.initializer}

    def get(name):
        if name in names:
            return names[name].astype(np.float32)
        if f"{name}.int8" not in names:
            sys.exit(f"{model} has no {name}: a DenseNet121 of 8-bit integers is needed, as `chexbox train export` writes it")
        return names[f"{name}.int8"].astype(np.float32) * names[f"{name}.scale"].reshape(-1, 1, 1, 1)

    out = {}
    for name, like in DenseNet121().state_dict().items():
        layer, leaf = name.rsplit(".", 1)
        folded = "features.conv0" if layer == "features.norm0" else layer.replace("norm2", "conv1") if layer.endswith("norm2") else None
        if not name.startswith("features.") or leaf == "num_batches_tracked":
            continue
        if folded:
            plain = {"weight": 1.0, "running_mean": 0.0, "running_var": 1 - 1e-5}
            value = get(f"{folded}.bias") if leaf == "bias" else np.full(like.shape, plain[leaf], np.float32)
        else:
            value = get(name.replace("norm5", "norm").replace("running_mean", "mean").replace("running_var", "variance"))
        out[name] = torch.from_numpy(value.copy())
    return out


def settle(features, x):
    """Gives every norm the statistics of these pictures without changing what it computes, so that training can go on: the
    `Mode::Settle` of src/train/densenet.rs."""

    def before(norm, inputs):
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), unbiased=False)
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        norm.bias.data.add_((mean - norm.running_mean) * factor)
        norm.weight.data.copy_(factor * torch.sqrt(variance + norm.eps))
        norm.running_mean.copy_(mean), norm.running_var.copy_(variance)

    hooks = [m.register_forward_pre_hook(before) for m in features.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        features.eval()(x)
    for hook in hooks:
        hook.remove()


def mean(pool, first, second, file):
    averaged, other = grey(), grey()
    told = [load(averaged, first, pool), load(other, second, pool)]
    T.average(averaged, other, 0.5)
    for norm in averaged.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
    averaged.train()
    of = np.random.RandomState(0).permutation(pool.train)[:COUNTED_ON]
    with torch.no_grad():
        for i in range(0, len(of), BATCH):
            averaged(in_scale(T.plain(pool.films[of[i:i + BATCH]], SIZE)))
    stage = f"the mean of these weights and those of {told[0].removeprefix(TRUNK_OF)}; statistics of norms counted on {len(of)} films of train"
    write(file, averaged, f"{told[1]}\n{stage}")


def there(*files):
    for file in files:
        if not file.exists():
            sys.exit(f"{file} is missing")


if __name__ == "__main__":
    if len(sys.argv) != 6 or sys.argv[1] != "mean":
        sys.exit(__doc__)
    folder, *files, file = (pathlib.Path(w) for w in sys.argv[2:])
    there(folder / "labels.csv", *files)
    mean(T.Pool(folder), *files, file)
