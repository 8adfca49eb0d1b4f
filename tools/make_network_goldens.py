"""Make tests/parity/networks/goldens.h5: what Keras computes for the ten networks with weights and pictures by formula.

    python tools/make_network_goldens.py [NETWORK ...]

Needs Keras 3 on TensorFlow and h5py. tests/unit/test_networks.c has the same formulas and compares.

Random numbers: the uniform number of tensor t, element i, is the upper 24 bits of splitmix64's output for the state
t * 2^32 + i, divided by 2^24. Tensors are counted over model.layers, and in a layer over layer.weights.
Weights, in 32-bit floats, from such a number u:
    kernel                 (u - 0.5) * s   s = sqrt(24 / inputs of an output) in double, rounded; divided by 64 in the
                                           first layer of networks with caffe inputs, times 0.3 in ..._3_conv
    bias                   (u - 0.5) * 0.2
    beta, moving_mean      (u - 0.5) * 0.4
    gamma                  0.8 + 0.4 * u
    moving_variance        0.5 + u
    predictions            kernel * scale, bias - shift[output]: the calibration, which is in the file
Pictures: v = ((row * (n + 2)) ^ (column * 3)) + 60 * channel + 100 * n, modulo 256; the network's input is v - 120
where it was trained with caffe's preprocessing, v / 128 - 1 elsewhere.

The file has, for each network:
    calibration  [1 + 10]            scale, shifts
    activations  [pictures, layers, 9]  of each Conv2D layer the mean over filters of the activation, and that of eight
                                     filters: j * filters / 8 + layer % (filters / 8), j = 0..7
    outputs      [pictures, 10]      probabilities
"""
import pathlib
import sys

import h5py
import keras
import numpy as np
import tensorflow as tf

CAFFE = {"VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152"}
NETWORKS = ["VGG16", "VGG19", "InceptionV3", "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2",
            "ResNet152V2", "InceptionResNetV2"]
N_CLASSES, N_PICTURES, N_CALIBRATION_PICTURES = 10, 2, 8


def uniform(tensor, n):
    """n numbers in [0, 1), 32-bit floats"""
    with np.errstate(over="ignore"):
        z = np.arange(n, dtype=np.uint64) + np.uint64(tensor << 32) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0 ** -24)


def values_of(layer, weight, tensor, is_first_caffe):
    shape = tuple(weight.shape)
    u = uniform(tensor, int(np.prod(shape))).reshape(shape)
    half = np.float32(0.5)
    if weight.name == "kernel":
        scale = np.sqrt(24.0 / np.prod(shape[:-1]))
        if is_first_caffe:
            scale /= 64
        if layer.name.endswith("_3_conv"):
            scale *= 0.3
        return (u - half) * np.float32(scale)
    if weight.name == "gamma":
        return np.float32(0.8) + np.float32(0.4) * u
    if weight.name == "moving_variance":
        return half + u
    return (u - half) * np.float32(0.2 if weight.name == "bias" else 0.4)


def set_weights(model, is_caffe):
    tensor = 0
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            values.append(values_of(layer, weight, tensor, is_caffe and tensor == 0))
            tensor += 1
        if values:
            layer.set_weights(values)


def picture(n, side, is_caffe):
    row, column, channel = np.mgrid[0:side, 0:side, 0:3]
    v = (((row * (n + 2)) ^ (column * 3)) + 60 * channel + 100 * n) % 256
    return (v - 120 if is_caffe else v / 128 - 1).astype(np.float32)


def calibrate(model, pictures):
    """Scale and shift the last layer by round numbers so that top-1 differs between pictures."""
    dense = model.get_layer("predictions")
    kernel, bias = dense.get_weights()
    logits = keras.Model(model.inputs, dense.input).predict(pictures, batch_size=4, verbose=0) @ kernel + bias
    scale = np.float32(2.0 ** round(np.log2(2 / logits.std(axis=0).mean())))
    shift = np.round(logits.mean(axis=0) * scale, 1).astype(np.float32)
    dense.set_weights([kernel * scale, bias - shift])
    return np.concatenate([[scale], shift]).astype(np.float32)


def activations(feature_map, layer):
    """[9]: mean over filters, and eight filters, of one picture's feature map [h, w, filters]"""
    values = feature_map.astype(np.float64)
    low, high = values.min(), values.max()
    scaled = ((values - low) / (high - low)).mean(axis=(0, 1)) if high > low else np.zeros(values.shape[-1])
    n = len(scaled)
    chosen = [j * n // 8 + layer % (n // 8) for j in range(8)]
    return [scaled.mean(), *scaled[chosen]]


def make(name, file):
    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None, classes=N_CLASSES)
    side, is_caffe = model.input_shape[1], name in CAFFE
    set_weights(model, is_caffe)
    pictures = np.stack([picture(n, side, is_caffe) for n in range(N_CALIBRATION_PICTURES)])
    calibration = calibrate(model, pictures)
    layers = [layer.output for layer in model.layers if type(layer) is keras.layers.Conv2D]
    run = tf.function(keras.Model(model.inputs, layers + [model.outputs[0]]))
    rows, outputs = [], []
    for n in range(N_PICTURES):
        *maps, probabilities = run(tf.constant(pictures[n:n + 1]), training=False)
        rows.append([activations(m.numpy()[0], i) for i, m in enumerate(maps)])
        outputs.append(probabilities.numpy()[0])
    group = file.require_group(name)
    for key, value in (("calibration", calibration), ("activations", rows), ("outputs", outputs)):
        if key in group:
            del group[key]
        group.create_dataset(key, data=np.array(value, dtype=np.float32))
    means = np.array(rows)[:, :, 0]
    print(name, len(layers), "layers; mean activations", means.min(), "to", means.max(), "; scale", calibration[0],
          "; outputs", np.round(outputs, 3).tolist(), flush=True)


def main():
    path = pathlib.Path(__file__).parent.parent / "tests/parity/networks/goldens.h5"
    with h5py.File(path, "a") as file:
        for name in sys.argv[1:] or NETWORKS:
            make(name, file)


if __name__ == "__main__":
    main()
