"""The files that the engines are measured on: exported by the binary, and int8 in every form that a peer may prefer."""

import subprocess

import numpy as np

import inputs

CALIBRATION_FILMS = 64


def exported(binary, model, size, precision, folder):
    """The file that `chexbox bench --precision` runs, as the binary writes it."""
    path = folder / f"{model}.{size}.{precision}.onnx"
    if not path.exists():
        subprocess.run([binary, "model", "export", model, "--precision", precision, "--size", str(size), path], check=True)
    return path


def calibration(binary, model, films, size, folder):
    chosen = films[:: max(1, len(films) // CALIBRATION_FILMS)][:CALIBRATION_FILMS]
    return [inputs.image(inputs.network_input(binary, model, f, size, folder), size) for f in chosen]


def ort_quantized(f32, images, form, folder):
    """ONNX Runtime's own static quantization, one scale a channel, QDQ or QOperator."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = folder / f"{f32.stem}.ort-{form}.onnx"
    if path.exists():
        return path

    class Films(CalibrationDataReader):
        def __init__(self):
            self.left = iter(images)

        def get_next(self):
            image = next(self.left, None)
            return None if image is None else {"image": image}

    prepared = folder / f"{f32.stem}.prepared.onnx"
    quant_pre_process(str(f32), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(path), Films(), quant_format=getattr(QuantFormat, form), per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    prepared.unlink()
    return path


def nncf_quantized(f32, images, folder):
    """OpenVINO's own post-training quantization."""
    import nncf
    import openvino

    path = folder / f"{f32.stem}.nncf.xml"
    if not path.exists():
        model = openvino.Core().read_model(f32)
        done = nncf.quantize(model, nncf.Dataset(images), preset=nncf.QuantizationPreset.PERFORMANCE, subset_size=len(images))
        openvino.save_model(done, path, compress_to_fp16=False)
    return path


def candidates(binary, model, size, films, folder):
    """For each peer the int8 files it may be measured on, by name."""
    ours, f32 = (exported(binary, model, size, p, folder) for p in ("int8", "f32"))
    images = calibration(binary, model, films, size, folder)
    qdq, qoperator = (ort_quantized(f32, images, form, folder) for form in ("QDQ", "QOperator"))
    nncf_file = nncf_quantized(f32, images, folder)
    return {
        "onnxruntime": {"our QDQ": ours, "its QDQ": qdq, "its QOperator": qoperator},
        "openvino": {"our QDQ": ours, "NNCF": nncf_file, "ORT's QDQ": qdq},
    }


if __name__ == "__main__":
    raise SystemExit("started by peers.py")
