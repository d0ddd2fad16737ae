"""chexbox against its peers: started by run.sh, which says how.

Every measurement is a process of its own, pinned to as many cores as it may use threads; within a round all engines take
turns in an order shuffled anew. Results are lines of results.jsonl; `report` makes the tables.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import forms
import inputs
import report

HERE = pathlib.Path(__file__).resolve().parent
SIZES, THREADS = (224, 320, 512), (1, 2)


def runs(size):
    """About a second of work."""
    return max(15, 60 * 224**2 // size**2)


WHOLE_RUNS = 5
FOLDER_FILMS = 1000
# How many measurements decide which int8 file a peer is measured on.
TRIALS = 2


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.folder)
        self.results = self.folder / "results.jsonl"
        self.films = inputs.films(options.films)

    def add(self, **record):
        record |= {"at": time.strftime("%Y-%m-%dT%H:%M:%S"), "load_before": os.getloadavg()[0]}
        with open(self.results, "a") as f:
            f.write(json.dumps(record) + "\n")
        return record

    def start(self, command, threads, capped=False):
        """Runs a command on its own cores; the JSON object that it prints."""
        cores = sorted(os.sched_getaffinity(0))[:threads]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        if capped:
            environment |= {"CHEXBOX_CPU": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
        pinned = ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)]
        done = subprocess.run(pinned, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(pinned)}\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def ours(self, size, precision, threads, film, capped=False):
        o = self.options
        command = [o.binary, "bench", "--model", o.model, "--size", size, "--threads", threads, "--runs", runs(size)]
        return self.start([*command, "--precision", precision, "--film", film, "--json"], threads, capped)

    def peer(self, engine, file, size, threads, film, capped=False):
        seen = inputs.network_input(self.options.binary, self.options.model, film, size, self.folder)
        command = [sys.executable, HERE / "engine.py", engine, file, size, threads, runs(size), seen]
        return self.start(command, threads, capped)

    def int8_files(self, size):
        """Each peer's fastest int8 file at this size on one thread, found once and remembered."""
        chosen = self.folder / f"chosen.{self.options.model}.{size}.json"
        if not chosen.exists():
            films = self.films[:: max(1, len(self.films) // forms.CALIBRATION_FILMS)]
            found = forms.candidates(self.options.binary, self.options.model, size, films, self.folder)
            best = {}
            for engine, files in found.items():
                times = {}
                for name, file in files.items():
                    trials = [self.peer(engine, file, size, 1, self.films[0])["median_ms"] for _ in range(TRIALS)]
                    times[name] = min(trials)
                name = min(times, key=times.get)
                best[engine] = {"form": name, "file": str(files[name]), "tried_ms": times}
            chosen.write_text(json.dumps(best))
        return json.loads(chosen.read_text())

    def network(self, capped):
        o = self.options
        for size in o.sizes:
            best = self.int8_files(size)
            f32 = forms.exported(o.binary, o.model, size, "f32", self.folder)
            for _ in range(o.rounds):
                film = random.choice(self.films)
                turns = [(e, p, t) for e in ("chexbox", "onnxruntime", "openvino") for p in ("int8", "f32") for t in o.threads]
                random.shuffle(turns)
                for engine, precision, threads in turns:
                    if engine == "chexbox":
                        found, form = self.ours(size, precision, threads, film, capped), "its own file"
                    else:
                        form, file = (best[engine]["form"], best[engine]["file"]) if precision == "int8" else ("our f32", f32)
                        found = self.peer(engine, file, size, threads, film, capped)
                    self.add(kind="capped" if capped else "network", engine=engine, form=form, size=size, precision=precision,
                             threads=threads, film=film.name, **{k: found[k] for k in report.MEASURED}, logits=found["logits"])
        for arithmetic in () if capped else ("int8", "f32"):
            peak = self.start([o.binary, "bench", "--peak", "--precision", arithmetic, "--json"], 1)
            self.add(kind="peak", **peak)

    def prepare(self):
        """Every file that is measured, so that nothing is exported or quantized between measurements."""
        films = self.films[:: max(1, len(self.films) // forms.CALIBRATION_FILMS)]
        for size in {*self.options.sizes, self.own_size()}:
            forms.candidates(self.options.binary, self.options.model, size, films, self.folder)

    def own_size(self):
        """The side of the model's own input."""
        return self.start([self.options.binary, "bench", "--runs", 1, "--json", "--model", self.options.model], 1)["size"]

    def python_files(self):
        """What the Python pipeline runs: OpenVINO's fastest int8 file, and the f32 one, whose head is plain."""
        size = self.own_size()
        f32 = forms.exported(self.options.binary, self.options.model, size, "f32", self.folder)
        return self.int8_files(size)["openvino"]["file"], f32

    def whole(self):
        o = self.options
        files = self.python_files()
        folder = self.folder / "films"
        folder.mkdir(exist_ok=True)
        source = max(self.films, key=lambda f: f.stat().st_size)
        films = inputs.full_size(source, folder)
        for _ in range(o.rounds):
            turns = [(e, f, t) for e in ("chexbox", "python") for f in films for t in o.threads]
            random.shuffle(turns)
            for engine, film, threads in turns:
                if engine == "chexbox":
                    command = [o.binary, "bench", "--model", o.model, "--whole", film, "--threads", threads, "--runs", WHOLE_RUNS,
                               "--json"]
                else:
                    command = [sys.executable, HERE / "pipeline.py", "whole", o.model, *files, film, threads, WHOLE_RUNS]
                found = self.start(command, threads)
                self.add(kind="whole", engine=engine, film=film.name, threads=threads, stages=found["stages"],
                         total=found["total"], overlays=found["overlays"], picture_bytes=found["picture_bytes"],
                         load_ms=found["load_ms"], rss_mb=found["rss_mb"])

    def folder_of_films(self):
        """Films a second, from the command's start to its end, of a folder of 1,000 links to real films."""
        o = self.options
        folder = self.folder / "thousand"
        if not folder.exists():
            folder.mkdir()
            for i in range(FOLDER_FILMS):
                film = self.films[i % len(self.films)]
                (folder / f"{i:04}{film.suffix}").symlink_to(film)
        files = self.python_files()
        for _ in range(o.rounds):
            turns = [(e, t) for e in ("chexbox", "python") for t in o.threads]
            random.shuffle(turns)
            for engine, threads in turns:
                command = [o.binary, "read", folder, "--json", "--model", o.model, "--jobs", threads]
                if engine == "python":
                    command = [sys.executable, HERE / "pipeline.py", "folder", o.model, *files, folder, threads]
                cores = sorted(os.sched_getaffinity(0))[:threads]
                begun = time.perf_counter()
                done = subprocess.run(["taskset", "-c", ",".join(map(str, cores)), *map(str, command)], capture_output=True, text=True)
                seconds = time.perf_counter() - begun
                records = [json.loads(line) for line in done.stdout.splitlines()]
                read = sum(r["status"] == "read" for r in records)
                if len(records) != FOLDER_FILMS:
                    raise SystemExit(f"{engine}: {len(records)} records\n{done.stderr[-2000:]}")
                self.add(kind="folder", engine=engine, threads=threads, films=len(records), read=read, seconds=seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("prepare", "network", "capped", "whole", "folder", "report", "all"))
    parser.add_argument("--binary", required=True)
    parser.add_argument("--films", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--model", default="findings25")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--threads", type=int, nargs="+", default=THREADS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bench = Bench(options)
    steps = {"prepare": bench.prepare, "network": lambda: bench.network(False), "capped": lambda: bench.network(True), "whole": bench.whole,
             "folder": bench.folder_of_films}
    for name, step in steps.items():
        if options.what in (name, "all"):
            step()
    print(report.tables(bench.results, options.binary))


if __name__ == "__main__":
    main()
