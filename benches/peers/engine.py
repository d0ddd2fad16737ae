"""One measurement of one peer, in a process of its own: prints the same JSON object as `chexbox bench --json`.

  engine.py onnxruntime|openvino MODEL SIZE THREADS RUNS INPUT
"""

import json
import resource
import statistics
import sys
import time

import numpy as np

import inputs

WARM_UP_RUNS = 3


def onnxruntime_engine(model, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(["logits", "features"], {"image": image})


def openvino_engine(model, threads):
    import openvino

    core = openvino.Core()
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
              "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model), "CPU", config)
    request = compiled.create_infer_request()
    named = {name: output for output in compiled.outputs for name in output.get_names()}

    def run(image):
        request.infer({0: image}, share_inputs=True, share_outputs=True)
        return [request.get_tensor(named[name]).data for name in ("logits", "features")]

    return run


ENGINES = {"onnxruntime": onnxruntime_engine, "openvino": openvino_engine}


def main(name, model, size, threads, runs, file):
    image = inputs.image(file, size)
    begun = time.perf_counter()
    run = ENGINES[name](model, threads)
    load_ms = (time.perf_counter() - begun) * 1e3
    for _ in range(WARM_UP_RUNS):
        logits = np.array(run(image)[0])
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        run(image)
        times.append((time.perf_counter() - begun) * 1e3)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"median_ms": statistics.median(times), "min_ms": min(times), "max_ms": max(times), "load_ms": load_ms,
                      "rss_mb": rss, "kernel": name, "logits": [float(v) for v in logits.ravel()]}))


if __name__ == "__main__":
    engine, model, size, threads, runs, file = sys.argv[1:]
    main(engine, model, int(size), int(threads), int(runs), file)
