"""A Keras network as a list of plain operations, up to its last convolution, and what other frameworks make of it.

    python graphs.py NETWORK WEIGHTS.h5 FOLDER      writes FOLDER/NETWORK.onnx, .steps and .json

All compute the same: the network with every Conv2D's output reduced to the sum of each channel (as a mean) and the
layer's minimum and maximum, inside the framework's own graph; nothing comes behind the last Conv2D."""
import json
import os
import pathlib
import pickle
import sys

import numpy as np

SIDES = {"InceptionV3": 299, "InceptionResNetV2": 299}


def load_keras(network, weights):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    keras.backend.clear_session()
    model = getattr(keras.applications, network)(weights=None)
    model.load_weights(weights)
    return model


def is_conv(layer):
    return type(layer).__name__ == "Conv2D"


def same_pads(size, kernel, stride):
    """Keras's 'same' padding of one axis: before, after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def window(layer, kernel):
    height, width = layer.input.shape[1:3]
    stride = layer.strides
    if layer.padding == "valid":
        return {"kernel": kernel, "stride": stride, "pads": (0, 0, 0, 0)}
    top, bottom = same_pads(height, kernel[0], stride[0])
    left, right = same_pads(width, kernel[1], stride[1])
    return {"kernel": kernel, "stride": stride, "pads": (top, left, bottom, right)}


def describe(layer):
    """Operation, its attributes, its weights; channels first."""
    kind = type(layer).__name__
    if kind == "Conv2D":
        weights = [np.ascontiguousarray(layer.kernel.numpy().transpose(3, 2, 0, 1))]
        if layer.use_bias:
            weights.append(layer.bias.numpy())
        relu = layer.activation.__name__ == "relu"
        return "conv", {**window(layer, layer.kernel_size), "relu": relu}, weights
    if kind == "BatchNormalization":
        n = layer.moving_mean.shape[0]
        gamma = layer.gamma.numpy() if layer.scale else np.ones(n, np.float32)
        beta = layer.beta.numpy() if layer.center else np.zeros(n, np.float32)
        statistics = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
        return "norm", {"epsilon": layer.epsilon}, [gamma, beta] + statistics
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        return ("max" if kind == "MaxPooling2D" else "average"), window(layer, layer.pool_size), []
    if kind == "ZeroPadding2D":
        (top, bottom), (left, right) = layer.padding
        return "pad", {"pads": (top, left, bottom, right)}, []
    if kind == "Activation" and layer.activation.__name__ == "relu" or kind == "ReLU":
        return "relu", {}, []
    if kind == "Add":
        return "add", {"scale": 1.0}, []
    if kind == "CustomScaleLayer":
        return "add", {"scale": float(layer.scale)}, []
    if kind == "Concatenate":
        return "concat", {}, []
    raise ValueError(f"layer {layer.name}: {kind} is not handled")


def program(model):
    """[(operation, output, inputs, attributes, weights, is_conv)] in the order in which they can be run. The input is
    called 'input'."""
    last = max(i for i, layer in enumerate(model.layers) if is_conv(layer))
    names = {id(model.inputs[0]): "input"}
    needed, wanted = set(), [model.layers[last]] + [layer for layer in model.layers if is_conv(layer)]
    while wanted:  # nothing that no convolution needs
        layer = wanted.pop()
        if layer.name not in needed:
            needed.add(layer.name)
            wanted += [tensor._keras_history[0] for tensor in as_list(layer.input)]
    steps = []
    for layer in model.layers:
        if layer.name not in needed or type(layer).__name__ == "InputLayer":
            continue
        kind, attributes, weights = describe(layer)
        inputs = [names[id(tensor)] for tensor in as_list(layer.input)]
        names[id(layer.output)] = layer.name
        steps.append((kind, layer.name, inputs, attributes, weights, is_conv(layer)))
    return steps


def as_list(tensors):
    return tensors if isinstance(tensors, (list, tuple)) else [tensors]


def measure(model):
    """Multiply-adds times two of the convolutions, as a plain sum has them; bytes of weights and of maps read and
    written once; filters."""
    flops = n_bytes = n_filters = n_maps = 0
    for layer in model.layers:
        if not is_conv(layer):
            continue
        height, width, channels = layer.output.shape[1:]
        kernel = layer.kernel.shape
        flops += 2 * int(np.prod(kernel)) * height * width
        n_bytes += 4 * int(np.prod(kernel))
        n_maps += int(np.prod(layer.input.shape[1:])) + height * width * channels
        n_filters += channels
    return {"flops": flops, "bytes": n_bytes + 4 * n_maps, "n_filters": n_filters}


# ---------------------------------------------------------------- ONNX

def write_onnx(model, steps, path):
    """Input: float [batch, channels, height, width]. Outputs: for each convolution the means of its channels, the
    minimum and the maximum."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    nodes, weights, outputs = [], [], []

    def add(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(name, array):
        weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name
    for kind, name, inputs, attributes, arrays, is_tapped in steps:
        arrays = [constant(f"{name}/{i}", array) for i, array in enumerate(arrays)]
        shape = {"kernel_shape": attributes.get("kernel"), "strides": attributes.get("stride"),
                 "pads": attributes.get("pads")}
        if kind == "conv":
            linear = add("Conv", inputs + arrays, name + "/linear" if attributes["relu"] else name, **shape)
            if attributes["relu"]:
                add("Relu", [linear], name)
        elif kind == "norm":
            add("BatchNormalization", inputs + arrays, name, epsilon=attributes["epsilon"])
        elif kind == "max":
            add("MaxPool", inputs, name, **shape)
        elif kind == "average":
            add("AveragePool", inputs, name, count_include_pad=0, **shape)
        elif kind == "pad":
            top, left, bottom, right = attributes["pads"]
            pads = constant(name + "/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
            add("Pad", inputs + [pads], name)
        elif kind == "relu":
            add("Relu", inputs, name)
        elif kind == "concat":
            add("Concat", inputs, name, axis=1)
        else:
            other = inputs[1]
            if attributes["scale"] != 1:
                scale = constant(name + "/scale", np.float32(attributes["scale"]))
                other = add("Mul", [other, scale], name + "/scaled")
            add("Add", [inputs[0], other], name)
        if is_tapped:
            outputs.append(add("ReduceMean", [name], name + "/mean", axes=[2, 3], keepdims=0))
            outputs.append(add("ReduceMin", [name], name + "/min", axes=[1, 2, 3], keepdims=0))
            outputs.append(add("ReduceMax", [name], name + "/max", axes=[1, 2, 3], keepdims=0))
    _, height, width, channels = model.inputs[0].shape
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", channels, height, width])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


# ---------------------------------------------------------------- PyTorch

def torch_module(steps):
    """A module of program()'s steps that gives ((means, minimum, maximum), ...) of the convolutions, for input [batch,
    channels, height, width]."""
    import torch
    import torch.nn.functional as F
    def padded(x, pads, value=0.0):
        top, left, bottom, right = pads
        return F.pad(x, (left, right, top, bottom), value=value) if any(pads) else x

    def average(x, attributes):
        """Pads don't count."""
        kernel, stride, pads = attributes["kernel"], attributes["stride"], attributes["pads"]
        if not any(pads):
            return F.avg_pool2d(x, kernel, stride)
        top, left, bottom, right = pads
        if (top, left) == (bottom, right):
            return F.avg_pool2d(x, kernel, stride, (top, left), count_include_pad=False)
        ones = padded(torch.ones_like(x[:1, :1]), pads)
        return F.avg_pool2d(padded(x, pads), kernel, stride) / F.avg_pool2d(ones, kernel, stride)

    class Network(torch.nn.Module):
        """Weights are buffers, so that PyTorch's compilers may take them as constants; those of convolutions have the
        channels last in memory, as the pictures do."""

        def __init__(self):
            super().__init__()
            for number, step in enumerate(steps):
                for i, array in enumerate(step[4]):
                    tensor = torch.from_numpy(np.array(array))
                    if tensor.dim() == 4:
                        tensor = tensor.contiguous(memory_format=torch.channels_last)
                    self.register_buffer(f"w{number}_{i}", tensor)

        def forward(self, x):
            values, taps = {"input": x}, []
            for number, (kind, name, inputs, attributes, arrays, is_tapped) in enumerate(steps):
                arrays = [getattr(self, f"w{number}_{i}") for i in range(len(arrays))]
                x = values[inputs[0]]
                if kind == "conv":
                    top, left, bottom, right = pads = attributes["pads"]
                    is_even = (top, left) == (bottom, right)
                    x = F.conv2d(x if is_even else padded(x, pads), arrays[0], arrays[1] if len(arrays) > 1 else None,
                                 attributes["stride"], (top, left) if is_even else 0)
                    x = F.relu_(x) if attributes["relu"] else x
                elif kind == "norm":
                    gamma, beta, mean, variance = arrays
                    x = F.batch_norm(x, mean, variance, gamma, beta, eps=attributes["epsilon"])
                elif kind == "max":
                    x = F.max_pool2d(padded(x, attributes["pads"], -np.inf), attributes["kernel"], attributes["stride"])
                elif kind == "average":
                    x = average(x, attributes)
                elif kind == "pad":
                    x = padded(x, attributes["pads"])
                elif kind == "relu":
                    x = F.relu(x)
                elif kind == "concat":
                    x = torch.cat([values[i] for i in inputs], 1)
                else:
                    x = x + attributes["scale"] * values[inputs[1]]
                values[name] = x
                if is_tapped:
                    taps.append((x.mean((2, 3)), *torch.aminmax(x.flatten(1), dim=1)))
            return tuple(taps)
    return Network().eval()


def main(network, weights, folder):
    model, folder = load_keras(network, weights), pathlib.Path(folder)
    steps = program(model)
    write_onnx(model, steps, str(folder / f"{network}.onnx"))
    (folder / f"{network}.steps").write_bytes(pickle.dumps(steps))
    (folder / f"{network}.json").write_text(json.dumps(measure(model)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
