#!/usr/bin/env python3
"""Function matching: the DenseNet121 of a model sees the same pictures as its teachers and learns their logits and their maps.

  match.py POOL BEGIN OUT MINUTES TEACHER...   BEGIN: the folder of a bundle, or a .safetensors with torchvision's names. TEACHER: the
                                               OUT of `teacher.py train`. The logits are the mean of all teachers, the maps at
                                               strides 16 and 32 those of the first. Writes OUT/match.pt every ten minutes, goes on
                                               from it where it is there, and at the end OUT/trunk.safetensors

POOL: as in tools/teacher.py. `chexbox train --init OUT/trunk.safetensors --trunk-rate 0.1` learns the heads of a label set.

Pictures are wide variations of the films of the training part, every second batch mixed of two films: what a teacher says of a
picture is right for it whatever it shows, so the more they differ the better. A film's own labels have a share where it is not
mixed. Every logit of a teacher counts by its own spread, so that rare findings weigh like others. On both hyperthreads of a Zen 5
core: 36 films/s at 160 px with two teachers.

pip install -r tools/teacher.requirements.txt
"""

import copy
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import teacher as T
from trunk import BATCH, SIZE, grey, in_scale, load, there, write

RATE, DECAY, WARM_UP = 1e-3, 0.03, 150
WIDE = 1.4  # how much wider than the teachers' own variations
LABELS_SHARE = 0.25  # of the target of a film that is not mixed
WEIGHTS = {"labels": 1.0, "logits": 3.0, 16: 0.5, 32: 1.0}
REFUSED_MOST = 20  # gradients that are not finite
EVERY = 600  # seconds between checkpoints
PNEUMONIA = T.LABELS.index("Pneumonia")


class Student(nn.Module):
    """Logits of LABELS; `maps`: those of the last call at strides 16 and 32, brought to the teacher's channels."""

    def __init__(self, channels):
        super().__init__()
        self.features, self.classifier = grey(), nn.Linear(1024, len(T.LABELS))
        self.matched = nn.ModuleDict({str(stride): nn.Conv2d(1024, n, 1) for stride, n in channels.items()})

    def forward(self, x):
        for name, part in self.features.named_children():
            x = part(x)
            if name == "denseblock3":
                at16 = x
        x = F.relu(x)
        if self.training:
            self.maps = {16: self.matched["16"](at16).float(), 32: self.matched["32"](x).float()}
        with torch.autocast("cpu", enabled=False):
            return self.classifier(x.float().mean((2, 3)))


class Teacher:
    """What it says of pictures: logits, and the maps at strides 16 and 32 of its blocks."""

    def __init__(self, folder):
        state = torch.load(folder / "teacher.pt", weights_only=True)["ema"]
        self.net = T.Lite(T.blocks_of(state)).to(memory_format=torch.channels_last).eval()
        self.net.load_state_dict(state)
        strided = [i for i, b in enumerate(self.net._blocks) if b._depthwise_conv.stride[0] == 2]
        self.maps = {}
        for stride, block in ((16, self.net._blocks[strided[-1] - 1]), (32, self.net._blocks[-1])):
            block.register_forward_hook(lambda _module, _in, out, stride=stride: self.maps.update({stride: out}))

    def __call__(self, x):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return self.net(x)[:, :len(T.LABELS)].float(), {stride: m.float() for stride, m in self.maps.items()}


class Teachers:
    """All of them together: mean logits, and the first one's maps, less their mean and by their spread on some pictures."""

    def __init__(self, members, pictures):
        self.members, self.spread = members, {}
        said = [self.say(x) for x in pictures]
        self.logits_std = torch.cat([logits for logits, _ in said]).std(0).clamp_min(1e-3)
        for stride in (16, 32):
            self.spread[stride] = torch.std_mean(torch.cat([maps[stride] for _, maps in said]), (0, 2, 3), keepdim=True)
        self.channels = {stride: mean.shape[1] for stride, (_, mean) in self.spread.items()}

    def say(self, x):
        said = [member(x) for member in self.members]
        maps = said[0][1]
        for stride, (std, mean) in self.spread.items():
            maps[stride] = (maps[stride] - mean) / std.clamp_min(1e-3)
        return torch.stack([logits for logits, _ in said]).mean(0), maps


def pictures(pool, of, sharp):
    """[B, 1, SIZE, SIZE] in a teacher's scale, and whether each shows one film."""
    x = T.varied(pool.films[of].clone(), sharp[of], SIZE, WIDE)
    if torch.rand(1) < 0.5:
        return x, True
    share = torch.rand(len(x), 1, 1, 1)
    return share * x + (1 - share) * x[torch.randperm(len(x))], False


def losses(student, teachers, pool, of, sharp):
    x, alone = pictures(pool, of, sharp)
    logits, maps = teachers.say(x)
    with torch.autocast("cpu", torch.bfloat16):
        own = student(in_scale(x))
    known = torch.ones_like(own)
    known[:, PNEUMONIA] = torch.from_numpy(T.on_pneumonia(pool, of) & alone).float()
    targets = torch.sigmoid(logits)
    if alone:
        targets = targets.lerp(pool.truths[of], LABELS_SHARE)
    return {"labels": (F.binary_cross_entropy_with_logits(own, targets, reduction="none") * known).sum(1).mean(),
            "logits": (((own - logits) / teachers.logits_std).square() * known).sum() / known.sum(),
            **{stride: F.mse_loss(student.maps[stride], m) for stride, m in maps.items()}}


def report(student, pool):
    of = pool.val[pool.stored[pool.val] >= T.SIDE]
    student.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = torch.cat([student(in_scale(T.plain(pool.films[of[i:i + 64]], SIZE))) for i in range(0, len(of), 64)])
    T.report("val", pool, of, T.named(logits.numpy()))


def match(pool, path, out, minutes, members):
    torch.manual_seed(1)
    sharp, rng = torch.from_numpy(pool.stored >= T.SIDE), np.random.RandomState(1)
    seen = lambda: pictures(pool, rng.choice(pool.train, BATCH), sharp)[0]
    teachers = Teachers([Teacher(m) for m in members], [seen() for _ in range(16)])
    student = Student(teachers.channels)
    before = load(student.features, path, pool)
    nn.init.normal_(student.classifier.weight, std=0.01)
    student.classifier.bias.data.copy_(torch.logit(pool.truths[pool.train].mean(0).clamp(1e-3, 1 - 1e-3)))
    student = student.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(student).eval()
    split = lambda wide: [p for p in student.parameters() if (p.ndim >= 2) == wide]
    optimiser = torch.optim.AdamW([{"params": split(True), "weight_decay": DECAY}, {"params": split(False), "weight_decay": 0}], lr=RATE)
    told = {"before": before, "teachers": [str(m) for m in members], "minutes": minutes}
    step, spent, order, means, refused = 0, 0.0, [], {}, 0
    if (out / "match.pt").exists():
        state = torch.load(out / "match.pt", weights_only=True)
        if state["told"] != told:
            sys.exit(f"{out}/match.pt was begun with {state['told']}, not with {told}: give the same, or another OUT")
        student.load_state_dict(state["net"]), averaged.load_state_dict(state["ema"]), optimiser.load_state_dict(state["opt"])
        step, spent = state["step"], state["seconds"]
        torch.manual_seed(1 + step), rng.seed(1 + step)
    saved = last = time.time()
    while spent < minutes * 60:
        if len(order) < BATCH:
            order = list(rng.permutation(pool.train))
        of, order = np.array(order[:BATCH]), order[BATCH:]
        student.train()
        parts = losses(student, teachers, pool, of, sharp)
        rate = RATE * min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * spent / (minutes * 60)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        sum(WEIGHTS[name] * part for name, part in parts.items()).backward()
        if not nn.utils.clip_grad_norm_(student.parameters(), 5.0).isfinite():
            refused += 1
            if refused == REFUSED_MOST:
                sys.exit(f"{refused} gradients were not finite: run it again, it goes on from {out}/match.pt")
            continue
        optimiser.step()
        step += 1
        T.average(averaged, student, min(0.999, (step + 1) / (step + 20)))
        means = {name: 0.98 * means.get(name, part.item()) + 0.02 * part.item() for name, part in parts.items()}
        now = time.time()
        spent, last = spent + now - last, now
        if step % 50 == 0:
            left = ", ".join(f"{name} {value:.4f}" for name, value in means.items())
            print(f"{spent / 60:.1f} of {minutes:g} minutes, {step * BATCH} films, {step * BATCH / spent:.0f} a second; {left}", flush=True)
        if now - saved > EVERY or spent >= minutes * 60:
            saved = now
            state = {"net": student.state_dict(), "ema": averaged.state_dict(), "opt": optimiser.state_dict(), "step": step, "seconds": spent,
                     "told": told}
            torch.save(state, out / "match.part")
            (out / "match.part").replace(out / "match.pt")
            report(averaged, pool)
    stage = (f"function matching (tools/match.py): {step * BATCH} films seen in {step} steps, {spent / 60:.0f} minutes of wall time, "
             f"input {SIZE} px; logits of {len(members)} EfficientNet-Lite (tools/teacher.py, from ImageNet weights), and maps of the first, by "
             "squared differences beside cross-entropy, on wide variations of the films of train, every second batch mixed of two; "
             "convolutions computed in bfloat16")
    write(out / "trunk.safetensors", averaged.features, f"{before}\n{stage}")


def main(*words):
    if len(words) < 5:
        sys.exit(__doc__)
    (pool, path, out), members = (pathlib.Path(w) for w in words[:3]), [pathlib.Path(w) for w in words[4:]]
    minutes = float(words[3]) if words[3].replace(".", "", 1).isdecimal() else 0.0
    if not minutes > 0:
        sys.exit(f"MINUTES is {words[3]}: a number above 0 is needed")
    there(pool / "labels.csv", path, *(m / "teacher.pt" for m in members))
    out.mkdir(parents=True, exist_ok=True)
    match(T.Pool(pool), path, out, minutes, members)


if __name__ == "__main__":
    main(*sys.argv[1:])
