"""One way of computing the filter activations of pictures, as a process that waits to be measured.

    python contender.py NAME --network VGG16 --weights FILE --images FOLDER --threads 2 ...

It prints a line of JSON once it is warm (with the activations of the first picture), and then, for each line "plain" or
"decode" from its standard input, runs all pictures once and prints a line of JSON: seconds by the clock, CPU seconds,
peak memory. plain: the pictures are tensors in memory already."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import pickle
import re
import sys
import time

import numpy as np

import graphs


def list_pictures(options):
    paths = sorted(pathlib.Path(options.images).glob("*/*"))[:options.pictures]
    if len(paths) < options.pictures:
        sys.exit(f"{options.images}: {options.pictures} pictures expected, found {len(paths)}")
    return paths


class Loader:
    """As Keras and Pillow load a picture."""

    def __init__(self, network, channels_first):
        self.side = graphs.SIDES.get(network, 224)
        self.is_caffe = network.startswith("VGG") or network in ("ResNet50", "ResNet101", "ResNet152")
        self.channels_first = channels_first

    def __call__(self, path):
        from PIL import Image
        with Image.open(path) as image:
            x = np.asarray(image.convert("RGB").resize((self.side, self.side), Image.NEAREST), np.float32)
        if self.is_caffe:
            x = x[:, :, ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
        else:
            x = x / np.float32(127.5) - np.float32(1)
        return np.ascontiguousarray(x.transpose(2, 0, 1) if self.channels_first else x)


def scale(taps):
    """[(means [n, c], minima [n], maxima [n])] -> activations [n, filters]"""
    scaled = []
    for mean, low, high in taps:
        low, span = np.asarray(low)[:, None], (np.asarray(high) - np.asarray(low))[:, None]
        scaled.append(np.where(span > 0, (np.asarray(mean) - low) / np.where(span > 0, span, 1), 0))
    return np.concatenate(scaled, 1)


class Contender:
    """Runs batches one after the other; the next one is decoded meanwhile."""
    channels_first = False
    warm_pictures = 1  # for each thread before time counts, or a batch: all memory shall have been in use

    def __init__(self, options):
        self.options, self.batch = options, options.batch
        self.load = Loader(options.network, self.channels_first)
        self.pool = concurrent.futures.ThreadPoolExecutor(options.threads)

    def stack(self, paths):
        return np.stack([self.load(path) for path in paths])

    def parts(self, items):
        return [items[i:i + self.batch] for i in range(0, len(items), self.batch)]

    def run_plain(self, tensors):
        return np.concatenate([self.infer(part) for part in self.parts(tensors)])

    def run_decode(self, paths):
        found, parts = [], self.parts(paths)
        following = self.pool.submit(self.stack, parts[0])
        for i in range(len(parts)):
            x = following.result()
            if i + 1 < len(parts):
                following = self.pool.submit(self.stack, parts[i + 1])
            found.append(self.infer(x))
        return np.concatenate(found)


class Scripts(Contender):
    """The published scripts' way: predict a picture, scale each layer by scikit-learn, average each filter by NumPy."""

    def __init__(self, options):
        super().__init__(options)
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        import keras
        from sklearn.preprocessing import MinMaxScaler
        model = graphs.load_keras(options.network, options.weights)
        self.scaler = MinMaxScaler
        self.net = keras.Model(model.inputs, [layer.output for layer in model.layers if graphs.is_conv(layer)])

    def infer(self, x):
        values = []
        for maps in graphs.as_list(self.net.predict(x, verbose=0)):
            scaled = self.scaler().fit_transform(maps[0].reshape(-1, 1)).reshape(maps.shape[1:])
            values += [scaled[:, :, f].mean() for f in range(scaled.shape[2])]
        return np.array([values])

    def run_decode(self, paths):
        return np.concatenate([self.infer(self.stack([path])) for path in paths])


class TensorFlow(Contender):
    """Statistics in the graph."""

    def __init__(self, options):
        super().__init__(options)
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        import keras
        model = graphs.load_keras(options.network, options.weights)
        net = keras.Model(model.inputs, [layer.output for layer in model.layers if graphs.is_conv(layer)])

        @tf.function(input_signature=[tf.TensorSpec((None,) + tuple(model.input_shape[1:]), tf.float32)])
        def graph(x):
            return [(tf.reduce_mean(maps, (1, 2)), tf.reduce_min(maps, (1, 2, 3)), tf.reduce_max(maps, (1, 2, 3)))
                    for maps in graphs.as_list(net(x, training=False))]
        self.graph, self.constant = graph, tf.constant

    def infer(self, x):
        return scale(self.graph(self.constant(x)))


class OnnxRuntime(Contender):
    channels_first = True

    def __init__(self, options):
        super().__init__(options)
        import onnxruntime
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        self.session = onnxruntime.InferenceSession(options.onnx, settings, providers=["CPUExecutionProvider"])

    def infer(self, x):
        found = self.session.run(None, {"input": x})
        return scale(zip(found[0::3], found[1::3], found[2::3]))


class OpenVino(Contender):
    channels_first = True
    hint = "LATENCY"

    def __init__(self, options):
        super().__init__(options)
        import openvino
        core = openvino.Core()
        settings = {"PERFORMANCE_HINT": self.hint, "INFERENCE_PRECISION_HINT": "f32",
                    "INFERENCE_NUM_THREADS": options.threads}
        model = core.read_model(options.onnx)
        side = self.load.side
        model.reshape([self.batch, 3, side, side])
        self.compiled = core.compile_model(model, "CPU", settings)
        self.request = self.compiled.create_infer_request()
        self.n_outputs = len(self.compiled.outputs)
        self.openvino = openvino

    def unpack(self, request):
        found = [request.get_output_tensor(i).data for i in range(self.n_outputs)]
        return scale(zip(found[0::3], found[1::3], found[2::3]))

    def infer(self, x):
        self.request.infer({0: x})
        return self.unpack(self.request)


class OpenVinoThroughput(OpenVino):
    """Several pictures at once, as many as it thinks best."""
    hint = "THROUGHPUT"
    warm_pictures = 8

    def run(self, items, load):
        found = [None] * len(items)
        queue = self.openvino.AsyncInferQueue(self.compiled)

        def keep(request, index):
            found[index] = self.unpack(request)
        queue.set_callback(keep)
        tensors = self.pool.map(load, items) if load else items
        for i, x in enumerate(tensors):
            queue.start_async({0: x[None]}, i)
        queue.wait_all()
        return np.concatenate(found)

    def run_plain(self, tensors):
        return self.run(list(tensors), None)

    def run_decode(self, paths):
        return self.run(paths, self.load)


class PyTorch(Contender):
    """Traced and frozen (TorchScript); channels last in memory, [n, h, w, c], though PyTorch calls it [n, c, h, w]."""

    def __init__(self, options):
        super().__init__(options)
        import torch
        torch.set_num_threads(options.threads)
        self.torch = torch
        with open(options.steps, "rb") as file:
            module = graphs.torch_module(pickle.load(file))
        with torch.no_grad():
            self.module = self.prepare(module)

    def example(self):
        return self.torch.zeros(self.batch, self.load.side, self.load.side, 3).permute(0, 3, 1, 2)

    def prepare(self, module):
        return self.torch.jit.freeze(self.torch.jit.trace(module, self.example(), check_trace=False))

    def infer(self, x):
        with self.torch.no_grad():
            found = self.module(self.torch.from_numpy(x).permute(0, 3, 1, 2))
        return scale([tuple(part.numpy() for part in tap) for tap in found])


class PyTorchCompiled(PyTorch):
    """By torch.compile, which needs a C++ compiler; weights are constants."""

    def prepare(self, module):
        import torch._inductor.config
        torch._inductor.config.freezing = True
        return self.torch.compile(module, dynamic=False)


class FilTags(Contender):
    """The library, as its program uses it: each thread takes the next few pictures."""
    warm_pictures = 8

    def __init__(self, options):
        super().__init__(options)
        import filtags_library
        side = self.load.side
        self.network = filtags_library.Network(options.library, options.network, options.weights, options.threads,
                                               options.batch or max(1, min(16, (1 << 20) // (3 * side * side))))

    def run_plain(self, tensors):
        return self.network.run(tensors=tensors)

    def run_decode(self, paths):
        return self.network.run(paths=paths)


CONTENDERS = {"scripts": Scripts, "tensorflow": TensorFlow, "openvino-latency": OpenVino,
              "openvino-throughput": OpenVinoThroughput, "onnxruntime": OnnxRuntime, "pytorch": PyTorch,
              "pytorch-compiled": PyTorchCompiled, "filtags": FilTags}


def peak_kbytes():
    """Of this program alone: what getrusage says includes the process that started it."""
    return int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text())[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONTENDERS)
    for name in ("network", "weights", "images", "onnx", "steps", "library"):
        parser.add_argument("--" + name)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=16)
    options = parser.parse_args()
    lines = os.fdopen(os.dup(1), "w")  # the frameworks write what they like on the standard output
    os.dup2(2, 1)
    contender = CONTENDERS[options.name](options)
    paths = list_pictures(options)
    tensors = contender.stack(paths)
    n_warm = max(options.batch, contender.warm_pictures * options.threads)
    warm = contender.run_plain(tensors[:n_warm])
    contender.run_decode(paths[:max(options.batch, 1)])

    def tell(**values):
        print(json.dumps(values), file=lines, flush=True)
    tell(ready=True, activations=[float(value) for value in warm[0]])
    for line in sys.stdin:
        run, items = (contender.run_plain, tensors) if line.strip() == "plain" else (contender.run_decode, paths)
        cpu, start = time.process_time(), time.monotonic()
        run(items)
        tell(seconds=time.monotonic() - start, cpu_seconds=time.process_time() - cpu,
             peak_kbytes=peak_kbytes())


if __name__ == "__main__":
    main()
