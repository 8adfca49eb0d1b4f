#!/usr/bin/env python3
"""Make the files that the tests compare filTags with: everything is computed by Keras, Pillow, pandas and NumPy.

    python tools/make_goldens.py [--only layers,mixed,images,runs,shuffle]

    layers    tests/parity/layers/           tiny networks, one for every layer and option, and goldens.h5
    images    tests/parity/images/           pictures of every format, and tests/parity/classes.txt
    mixed     tests/parity/mixed.keras, .h5  a network with many kinds of layers, for the whole pipeline
    runs      tests/parity/golden/           the oracle's results for mixed.keras and for the demo
    shuffle   tests/unit/data/shuffle.json   pandas' shuffle, NumPy's rounding

The versions used are in tests/parity/oracle/requirements.txt. The networks that Keras 2 writes need the package
tf_keras as well (`pip install --no-deps tf_keras`); without it those that are there are kept.

Every random number has a fixed seed, and dates in archives are fixed: a second run on the same machine changes no
file. Another CPU rounds differently, so there the last digits of the outputs change.

tests/parity/layers/goldens.h5 has a group for each network file, named after the file without its ending:
`input` float32 [2, h, w, c], `output` float32 [2, ...] and the attribute `model`, the file's name. The ending of
the case's name tells who wrote the file: (nothing) Keras 3, .keras; _h5 Keras 3, whole-model HDF5; _keras2 Keras 2,
whole-model HDF5; _zip_keras2 Keras 2, .keras.
"""
import argparse
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile

from make_demo import CLASSES as DEMO_CLASSES, ROOT, rewrite_zip

import h5py
import keras
import numpy as np
import tensorflow as tf

try:
    import tf_keras
except ImportError:
    tf_keras = None

PARITY = ROOT / "tests" / "parity"
ORACLE = PARITY / "oracle" / "filtags_oracle.py"
LAYERS = PARITY / "layers"
IMAGES = PARITY / "images"
SHUFFLE = ROOT / "tests" / "unit" / "data" / "shuffle.json"


# ---------------------------------------------------------------- the cases
class Case:
    """A network: `build(k)` makes it with k = keras or k = tf_keras.

    also: the other files to write, of "h5" (Keras 3), "h5_2" and "zip_2" (Keras 2).
    pixels: the input is 0..255 as in pictures, else normally distributed.
    """
    def __init__(self, name, build, also=(), pixels=False):
        self.name, self.build, self.also, self.pixels = name, build, also, pixels


CASES = []
SMALL = (5, 4, 3)          # for layers to which neighbours do not matter
EVERY_FORMAT = ("h5", "h5_2", "zip_2")
BOTH_H5 = ("h5", "h5_2")
KEPT_STORED = ("model_shared",)


def add_case(name, shape, layers, **options):
    """A functional network: layers(L, x) -> output tensor, with L = keras.layers."""
    def build(k):
        x = k.Input(shape, name="image")
        return k.Model(x, layers(k.layers, x), name=name)
    CASES.append(Case(name, build, **options))


def add_layer(name, make, shape=(7, 9, 3), channels=None, **options):
    """One layer, make(L), on the input itself or behind a convolution that makes `channels` channels."""
    def layers(L, x):
        if channels:
            x = L.Conv2D(channels, 3, padding="same", name="stem")(x)
        return make(L)(x)
    add_case(name, shape, layers, **options)


def add_merge(name, make, channels, shape=SMALL, **options):
    """A merge layer, make(L), of 1x1 convolutions with the given numbers of channels."""
    def layers(L, x):
        return make(L)([L.Conv2D(c, 1, name=f"branch{i}")(x) for i, c in enumerate(channels)])
    add_case(name, shape, layers, **options)


def conv_cases():
    def conv(name, filters, kernel, shape=(7, 9, 3), channels=None, also=(), **kw):
        add_layer("conv_" + name, lambda L: L.Conv2D(filters, kernel, name="conv", **kw), shape, channels, also=also)

    conv("same", 8, 3, (17, 17, 3), padding="same")
    conv("valid", 13, 3)
    conv("no_bias", 20, 3, padding="same", use_bias=False)
    conv("1x1", 33, 1, SMALL, channels=5)
    conv("many_channels", 33, (1, 3), SMALL, channels=20, padding="same")
    conv("one_channel_out", 1, 3, channels=8)
    conv("stride2_same_odd", 16, 3, (17, 17, 3), strides=2, padding="same")
    conv("stride2_same_even", 20, 3, (12, 10, 3), strides=2, padding="same")
    conv("stride2_valid", 5, 3, (12, 10, 3), strides=2)
    conv("stride3_same", 8, 3, (17, 17, 3), strides=3, padding="same")
    conv("stride2_1x1", 13, 1, (12, 10, 3), channels=16, strides=2)
    conv("dilation2_same", 8, 3, (12, 10, 3), dilation_rate=2, padding="same")
    conv("dilation2_valid", 13, 3, (12, 10, 3), dilation_rate=2)
    conv("dilation_1x3", 5, 3, (12, 10, 3), dilation_rate=(1, 3), padding="same")
    conv("groups2", 20, 3, channels=16, groups=2, padding="same")
    conv("groups3_odd", 33, 3, channels=15, groups=3, strides=2)
    conv("groups_every_channel", 16, 3, channels=8, groups=8, padding="same")
    conv("1x7_same", 8, (1, 7), padding="same")
    conv("7x1_same", 8, (7, 1), padding="same")
    conv("1x3_valid", 13, (1, 3))
    conv("2x2_same", 5, 2, padding="same")
    conv("4x4_stride2_same", 8, 4, (12, 10, 3), strides=2, padding="same")
    conv("5x5_same", 20, 5, padding="same")
    conv("7x7_stride2_same", 13, 7, (17, 17, 3), strides=2, padding="same")
    conv("7x7_larger_than_input", 8, 7, SMALL, padding="same")
    conv("one_pixel_input", 8, 3, (1, 1, 3), padding="same")
    add_case("conv_7x7_stride2_padded", (17, 17, 3), lambda L, x: L.Conv2D(16, 7, strides=2, name="conv")(
        L.ZeroPadding2D(3, name="pad")(x)))
    add_layer("conv_one_channel_in", lambda L: L.Conv2D(13, 3, padding="same", name="conv"), (12, 10, 1))
    add_layer("conv_activation_object",
              lambda L: L.Conv2D(13, 3, activation=L.LeakyReLU(0.125), name="conv"), SMALL, also=BOTH_H5)

    def depthwise(name, kernel, shape=(12, 10, 3), channels=13, also=(), **kw):
        add_layer("depthwise_" + name, lambda L: L.DepthwiseConv2D(kernel, name="depth", **kw), shape, channels,
                  also=also)

    depthwise("same", 3, padding="same", also=("h5_2",))
    depthwise("valid_no_bias", 3, use_bias=False)
    depthwise("on_input", 3, channels=None)
    depthwise("multiplier2", 3, (7, 9, 3), channels=5, depth_multiplier=2, padding="same")
    depthwise("multiplier2_on_33", 3, SMALL, channels=33, depth_multiplier=2)
    depthwise("stride2_same_even", 3, strides=2, padding="same")
    depthwise("stride2_same_odd", 3, (17, 17, 3), strides=2, padding="same", depth_multiplier=2)
    depthwise("dilation2", 3, dilation_rate=2, padding="same")
    depthwise("5x5_relu6", 5, padding="same", activation="relu6")

    def separable(name, filters, kernel, shape=(12, 10, 3), channels=8, also=(), **kw):
        add_layer("separable_" + name, lambda L: L.SeparableConv2D(filters, kernel, name="sep", **kw), shape,
                  channels, also=also)

    separable("same", 20, 3, (7, 9, 3), padding="same", also=("h5_2",))
    separable("multiplier2", 13, 3, (7, 9, 3), depth_multiplier=2, padding="same", activation="relu")
    separable("stride2_same", 16, 3, strides=2, padding="same")
    separable("no_bias", 5, 5, use_bias=False)
    separable("dilation2", 5, 3, dilation_rate=2)


def activation_cases():
    names = ["relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "tanh", "softmax", "hard_sigmoid",
             "hard_silu", "softplus", "softsign", "linear", "exponential", "mish"]
    in_keras2 = {"hard_sigmoid": ("h5_2",)}              # there another function has that name
    for name in names:
        add_layer("conv_fused_" + name, lambda L, name=name: L.Conv2D(13, 3, activation=name, name="conv"), SMALL)
        add_layer("activation_" + name, lambda L, name=name: L.Activation(name, name="act"), SMALL, 13,
                  also=in_keras2.get(name, ()))
    # synonyms: Keras 3 writes silu and hard_silu for them, Keras 2 keeps swish
    add_layer("activation_swish", lambda L: L.Activation("swish", name="act"), SMALL, 5, also=("h5_2",))
    add_layer("activation_hard_swish", lambda L: L.Activation("hard_swish", name="act"), SMALL, 5)

    def layer(name, make, **kw):
        add_layer(name, make, SMALL, 13, **kw)

    layer("relu_plain", lambda L: L.ReLU(name="act"))
    layer("relu_max", lambda L: L.ReLU(max_value=1.5, name="act"))
    layer("relu_slope", lambda L: L.ReLU(negative_slope=0.1, name="act"))
    layer("relu_all", lambda L: L.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.5, name="act"), also=("h5_2",))
    layer("leaky_default", lambda L: L.LeakyReLU(name="act"), also=("h5_2",))
    layer("leaky_slope", lambda L: L.LeakyReLU(0.05, name="act"))
    layer("prelu_shared", lambda L: L.PReLU(shared_axes=[1, 2], name="act"), also=BOTH_H5)
    layer("prelu_full", lambda L: L.PReLU(name="act"))
    layer("prelu_shared_rows", lambda L: L.PReLU(shared_axes=[1], name="act"))
    layer("elu_layer", lambda L: L.ELU(0.7, name="act"))
    layer("softmax_layer", lambda L: L.Softmax(name="act"))
    add_case("softmax_vector", (7, 9, 3), lambda L, x: L.Softmax(name="act")(
        L.Dense(5, name="logits")(L.Flatten(name="flat")(x))))


def normalization_cases():
    def batch_norm(name, channels=13, also=(), **kw):
        add_layer("batchnorm" + name, lambda L: L.BatchNormalization(name="bn", **kw), SMALL, channels, also=also)

    batch_norm("")
    batch_norm("_epsilon", epsilon=1.001e-5, channels=20)
    batch_norm("_no_scale", scale=False)
    batch_norm("_no_center", center=False)
    batch_norm("_neither", scale=False, center=False)
    batch_norm("_axis3", axis=3, channels=5)
    batch_norm("_on_input", channels=None)
    add_case("batchnorm_vector", (7, 9, 3), lambda L, x: L.BatchNormalization(name="bn")(
        L.Dense(13, name="dense")(L.Flatten(name="flat")(x))))
    add_case("batchnorm_relu_conv", (12, 10, 3), lambda L, x: L.Conv2D(8, 3, name="conv2")(
        L.ReLU(name="relu")(L.BatchNormalization(name="bn")(
            L.Conv2D(20, 3, use_bias=False, padding="same", name="conv1")(x)))))

    add_layer("rescaling_scalar", lambda L: L.Rescaling(1 / 127.5, offset=-1, name="scale"), pixels=True)
    add_layer("rescaling_lists", lambda L: L.Rescaling([1 / 64, 1 / 128, 1 / 255], offset=[-0.5, 0.25, 1.0],
                                                       name="scale"), pixels=True)
    add_layer("rescaling_inside", lambda L: L.Rescaling(0.17, name="scale"), channels=13)

    def given(L):
        return L.Normalization(mean=[123.0, 117.0, 104.0], variance=[3364.0, 3249.0, 3136.0], name="norm")

    def adapted(L):
        layer = L.Normalization(name="norm")
        layer.adapt(np.random.default_rng(5).normal([90, 120, 150], [20, 40, 60], (9, 7, 9, 3)).astype(np.float32))
        return layer
    add_layer("normalization_given", given, pixels=True, also=("h5_2",))
    add_layer("normalization_scalar", lambda L: L.Normalization(axis=None, mean=127.0, variance=4096.0, name="norm"),
              pixels=True)
    add_layer("normalization_adapted", adapted, pixels=True, also=EVERY_FORMAT)


def pooling_cases():
    def pool(name, shape=(12, 10, 3), channels=13, **kw):
        for kind in ("Max", "Average"):
            add_layer(f"{kind.lower()}pool_{name}", lambda L, kind=kind: getattr(L, kind + "Pooling2D")(
                name="pool", **kw), shape, channels)

    pool("2_valid", pool_size=2)
    pool("2_valid_odd", (7, 9, 3), channels=33, pool_size=2)
    pool("2_same_odd", (17, 17, 3), channels=5, pool_size=2, padding="same")
    pool("3_stride2_valid", (17, 17, 3), pool_size=3, strides=2)
    pool("3_stride2_same_even", pool_size=3, strides=2, padding="same")
    pool("3_stride1_same", (7, 9, 3), pool_size=3, strides=1, padding="same")
    pool("5_stride2_same", (7, 9, 3), pool_size=5, strides=2, padding="same")
    pool("3x2_stride_1x2", pool_size=(3, 2), strides=(1, 2))
    pool("1_stride2", pool_size=1, strides=2)
    pool("on_input", (7, 9, 3), channels=None, pool_size=2)
    # all values negative: zeros of the padding must not win
    add_case("maxpool_negative_same", (7, 9, 3), lambda L, x: L.MaxPooling2D(3, 2, padding="same", name="pool")(
        L.Rescaling(1.0, offset=-100.0, name="shift")(x)))
    for kind in ("Average", "Max"):
        for keep in (False, True):
            add_layer(f"global_{kind.lower()}{'_keepdims' * keep}", lambda L, kind=kind, keep=keep: getattr(
                L, f"Global{kind}Pooling2D")(keepdims=keep, name="pool"), channels=13)


def shape_cases():
    add_layer("zeropadding", lambda L: L.ZeroPadding2D(2, name="pad"), channels=5)
    add_layer("zeropadding_asymmetric", lambda L: L.ZeroPadding2D(((1, 2), (0, 3)), name="pad"), channels=5)
    add_case("zeropadding_then_conv", (12, 10, 3), lambda L, x: L.Conv2D(8, 3, strides=2, name="conv")(
        L.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(L.Conv2D(5, 1, activation="sigmoid", name="stem")(x))))
    add_layer("cropping", lambda L: L.Cropping2D(1, name="crop"), channels=13)
    add_layer("cropping_asymmetric", lambda L: L.Cropping2D(((1, 0), (2, 3)), name="crop"), channels=13)
    add_layer("upsampling_nearest", lambda L: L.UpSampling2D((2, 3), name="up"), channels=5)
    add_layer("upsampling_bilinear", lambda L: L.UpSampling2D((2, 3), interpolation="bilinear", name="up"),
              channels=5)
    add_layer("flatten", lambda L: L.Flatten(name="flat"), channels=5)
    add_layer("reshape_vector", lambda L: L.Reshape((7 * 9 * 5,), name="reshape"), channels=5)
    add_layer("reshape_unknown", lambda L: L.Reshape((-1, 3, 5), name="reshape"), channels=5)
    add_layer("reshape_mixes_channels", lambda L: L.Reshape((9, 5, 7), name="reshape"), channels=5)
    add_case("reshape_vector_to_map", SMALL, lambda L, x: L.Conv2D(5, 3, padding="same", name="conv")(
        L.Reshape((3, 4, 3), name="reshape")(L.Dense(36, name="dense")(L.Flatten(name="flat")(x)))))
    add_layer("permute_identity", lambda L: L.Permute((1, 2, 3), name="permute"), channels=5)

    def without_effect(L, x):
        x = L.Conv2D(13, 3, name="conv")(x)
        for layer in (L.Dropout(0.3, name="dropout"), L.SpatialDropout2D(0.3, name="spatial"),
                      L.GaussianNoise(0.5, name="noise"), L.GaussianDropout(0.3, name="gaussian_dropout"),
                      L.AlphaDropout(0.3, name="alpha_dropout"),
                      L.ActivityRegularization(l2=0.1, name="regularization")):
            x = layer(x)
        return x
    add_case("layers_without_effect", (7, 9, 3), without_effect, also=("h5_2",))


def dense_cases():
    def after_flatten(name, **kw):
        add_case("dense_" + name, (7, 9, 3), lambda L, x: L.Dense(name="dense", **kw)(
            L.Flatten(name="flat")(L.Conv2D(13, 3, strides=2, name="stem")(x))))

    after_flatten("vector", units=10)
    after_flatten("no_bias", units=13, use_bias=False)
    after_flatten("softmax", units=5, activation="softmax")
    after_flatten("sigmoid", units=1, activation="sigmoid")
    after_flatten("relu", units=8, activation="relu")
    add_layer("dense_on_map", lambda L: L.Dense(20, activation="tanh", name="dense"), channels=13)
    add_layer("dense_on_map_softmax", lambda L: L.Dense(5, activation="softmax", name="dense"), channels=8)
    add_case("dense_after_pool_odd", (17, 17, 3), lambda L, x: L.Dense(7, name="out")(
        L.Dense(19, activation="gelu", name="hidden")(L.Flatten(name="flat")(L.MaxPooling2D(3, name="pool")(
            L.Conv2D(5, 3, activation="relu", name="stem")(x))))))
    add_case("dense_after_average", (7, 9, 3), lambda L, x: L.Dense(5, activation="softmax", name="out")(
        L.GlobalAveragePooling2D(name="average")(L.Conv2D(33, 3, name="stem")(x))))


def merge_cases():
    add_merge("add", lambda L: L.Add(name="merge"), (13, 13))
    add_merge("add_three", lambda L: L.Add(name="merge"), (5, 5, 5))
    add_merge("subtract", lambda L: L.Subtract(name="merge"), (13, 13))
    add_merge("multiply", lambda L: L.Multiply(name="merge"), (13, 13))
    add_merge("average", lambda L: L.Average(name="merge"), (13, 13))
    add_merge("average_three", lambda L: L.Average(name="merge"), (8, 8, 8))
    add_merge("maximum", lambda L: L.Maximum(name="merge"), (13, 13))
    add_merge("minimum", lambda L: L.Minimum(name="merge"), (13, 13))
    add_merge("concatenate", lambda L: L.Concatenate(name="merge"), (16, 8))
    add_merge("concatenate_odd", lambda L: L.Concatenate(name="merge"), (5, 13))
    add_merge("concatenate_three", lambda L: L.Concatenate(name="merge"), (3, 20, 33))
    add_merge("concatenate_axis3", lambda L: L.Concatenate(axis=3, name="merge"), (1, 7))

    def same_tensor_twice(L, x):
        x = L.Conv2D(5, 3, name="conv")(x)
        return L.Concatenate(name="join")([x, L.Add(name="double")([x, x])])
    add_case("merge_same_tensor_twice", (7, 9, 3), same_tensor_twice)

    def with_input(L, x):
        x = L.Concatenate(name="join")([L.Conv2D(13, 3, padding="same", name="conv1")(x), x])
        return L.Conv2D(8, 3, name="conv2")(x)
    add_case("concatenate_with_input", (7, 9, 3), with_input)

    def of_vectors(L, x):
        x = L.Conv2D(13, 3, name="conv")(x)
        x = L.Concatenate(name="join")([L.GlobalAveragePooling2D(name="average")(x),
                                        L.GlobalMaxPooling2D(name="maximum")(x), L.Flatten(name="flat")(x)])
        return L.Dense(5, name="out")(x)
    add_case("concatenate_vectors", (7, 9, 3), of_vectors)

    def squeeze_excite(L, x):
        x = L.Conv2D(13, 3, name="conv")(x)
        s = L.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
        s = L.Conv2D(5, 1, activation="relu", name="reduce")(s)
        return L.Multiply(name="excite")([x, L.Conv2D(13, 1, activation="sigmoid", name="expand")(s)])
    add_case("multiply_broadcast", (7, 9, 3), squeeze_excite)


def model_cases():
    """How layers are put together: sequential, nested, shared, several branches."""
    def add(name, build, also=EVERY_FORMAT):
        CASES.append(Case("model_" + name, build, also))

    def body(L):
        return [L.Conv2D(8, 3, padding="same", name="conv1"), L.BatchNormalization(name="bn1"),
                L.Activation("relu", name="relu1"), L.MaxPooling2D(2, name="pool"),
                L.Conv2D(13, 3, activation="relu", name="conv2"), L.Flatten(name="flat"),
                L.Dense(5, activation="softmax", name="out")]

    def sequential(k):
        return k.Sequential([k.Input((12, 10, 3), name="image")] + body(k.layers), name="seq")

    def sequential_without_input(k):
        model = k.Sequential(body(k.layers), name="seq")
        model.build((None, 12, 10, 3))
        return model

    def automatic_names(k):
        L = k.layers
        x = image = k.Input((12, 10, 3))
        for _ in range(3):
            x = L.BatchNormalization()(L.Conv2D(5, 3)(x))
        return k.Model(image, L.Dense(5)(L.GlobalAveragePooling2D()(x)))

    def block(k, channels, name, first="conv_a"):
        """A nested functional model: two convolutions with batch norms and a residual."""
        L = k.layers
        image = k.Input((12, 10, channels), name=name + "_in")
        x = L.BatchNormalization(name="bn_a")(L.Conv2D(channels, 3, padding="same", name=first)(image))
        x = L.BatchNormalization(name="bn_b")(L.Conv2D(channels, 1, name="conv_b")(L.ReLU(name="relu_a")(x)))
        return k.Model(image, L.Add(name="sum")([image, x]), name=name)

    def small_sequential(k, channels, name, filters):
        L = k.layers
        return k.Sequential([k.Input((12, 10, channels)), L.Conv2D(filters, 3, padding="same", name=name + "_conv"),
                             L.BatchNormalization(name=name + "_bn")], name=name)

    def functional(k, layers):
        image = k.Input((12, 10, 3), name="image")
        return k.Model(image, layers(k.layers, image), name="outer")

    def sequential_in_functional(k):
        return functional(k, lambda L, x: L.Conv2D(5, 3, name="last")(
            small_sequential(k, 13, "inner", 8)(L.Conv2D(13, 1, name="first")(x))))

    def sequential_in_sequential(k):
        L = k.layers
        return k.Sequential([k.Input((12, 10, 3)), small_sequential(k, 3, "inner", 8), L.Flatten(name="flat"),
                             L.Dense(5, name="out")], name="seq")

    def functional_in_functional(k):
        return functional(k, lambda L, x: L.Conv2D(8, 3, name="last")(
            block(k, 13, "inner")(L.Conv2D(13, 1, name="first")(x))))

    def two_levels(k):
        L = k.layers
        image = k.Input((12, 10, 8), name="middle_in")
        x = block(k, 8, "deep")(L.Conv2D(8, 1, name="conv_m")(image))
        middle = k.Model(image, small_sequential(k, 8, "deep_seq", 5)(x), name="middle")
        return functional(k, lambda L, x: L.Conv2D(3, 1, name="last")(middle(L.Conv2D(8, 3, padding="same",
                                                                                      name="first")(x))))

    def nested_twice(k):
        inner = block(k, 5, "inner")
        return functional(k, lambda L, x: L.Conv2D(3, 1, name="last")(
            inner(L.ReLU(name="relu")(inner(L.Conv2D(5, 1, name="first")(x))))))

    def nested_last(k):
        return functional(k, lambda L, x: block(k, 5, "inner")(L.Conv2D(5, 1, name="first")(x)))

    def sequential_last(k):
        return functional(k, lambda L, x: small_sequential(k, 5, "inner", 8)(L.Conv2D(5, 1, name="first")(x)))

    def nested_first(k):
        return functional(k, lambda L, x: L.Dense(5, name="out")(L.Flatten(name="flat")(block(k, 3, "inner")(x))))

    def same_inner_names(k):
        return functional(k, lambda L, x: block(k, 3, "inner2")(block(k, 3, "inner1")(x)))

    def frozen(k):              # the order of the weights in an HDF5 file depends on what can be trained
        model = functional_in_functional(k)
        model.get_layer("inner").trainable = False
        return model

    def partly_frozen(k):
        model = functional_in_functional(k)
        model.get_layer("inner").get_layer("conv_a").trainable = False
        return model

    def shared(k):
        def layers(L, x):
            conv = L.Conv2D(5, 3, padding="same", name="shared")
            a = conv(L.Conv2D(5, 1, name="first")(x))
            return L.Add(name="sum")([a, conv(L.ReLU(name="relu")(a))])
        return functional(k, layers)

    def shared_alternating(k):
        def layers(L, x):
            a = L.Conv2D(3, 3, padding="same", activation="tanh", name="a")
            b = L.Conv2D(3, 1, name="b")
            return a(b(a(b(a(x)))))
        return functional(k, layers)

    def branches(k):
        def layers(L, x):
            x = L.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem")(x)
            a = L.Conv2D(8, 1, name="a1")(x)
            b = L.Conv2D(13, (3, 1), padding="same", name="b2")(L.Conv2D(5, (1, 3), padding="same", name="b1")(x))
            c = L.Conv2D(3, 1, activation="relu", name="c1")(L.AveragePooling2D(3, 1, padding="same", name="pool")(x))
            x = L.Concatenate(name="join")([a, b, c])
            d = L.BatchNormalization(name="bn")(L.Conv2D(24, (1, 3), padding="same", name="d")(x))
            x = L.Add(name="sum")([x, d])
            return L.Dense(5, activation="softmax", name="out")(L.GlobalAveragePooling2D(name="average")(x))
        return functional(k, layers)

    def one_channel(k):
        L = k.layers
        return k.Sequential([k.Input((17, 17, 1)), L.Rescaling(0.5, name="scale"),
                             L.Conv2D(8, 3, strides=3, name="conv"), L.Flatten(name="flat"), L.Dense(5, name="out")],
                            name="grey")

    add("sequential", sequential, ())
    add("sequential_without_input", sequential_without_input)
    add("automatic_names", automatic_names, ())
    add("sequential_in_functional", sequential_in_functional, ())
    add("sequential_in_sequential", sequential_in_sequential, ("h5",))
    add("functional_in_functional", functional_in_functional, ())
    add("two_levels", two_levels)
    add("nested_twice", nested_twice, BOTH_H5)
    add("nested_first", nested_first, ())
    add("nested_last", nested_last, BOTH_H5)
    add("sequential_last", sequential_last, BOTH_H5)
    add("same_inner_names", same_inner_names, ("h5",))
    add("frozen", frozen, ("h5",))
    add("partly_frozen", partly_frozen, BOTH_H5)
    add("shared", shared)
    add("shared_alternating", shared_alternating, ("h5_2",))
    add("branches", branches)
    add("one_channel", one_channel, ())


# ---------------------------------------------------------------- layers: weights, files, outputs
def leaf_layers(model):
    """The layers of a model and of the models in it, each once."""
    found = []
    for layer in model.layers:
        for one in leaf_layers(layer) if hasattr(layer, "layers") else [layer]:
            if not any(one is other for other in found):
                found.append(one)
    return found


def random_weight(rng, layer, name, shape):
    """A weight that is not trivial (no variance of 1, no mean of 0) and keeps values near 1."""
    if "kernel" in name:
        kind = type(layer).__name__
        depthwise = name == "depthwise_kernel" or kind == "DepthwiseConv2D"
        inputs = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
        return rng.standard_normal(shape) * np.sqrt(2 / inputs)
    if name in ("bias", "beta", "moving_mean"):
        return rng.standard_normal(shape) * 0.3
    if name == "gamma":                                  # a few of them negative
        return rng.uniform(0.5, 1.5, shape) * np.where(rng.random(shape) < 0.2, -1, 1)
    if name == "moving_variance":
        return rng.uniform(0.3, 2.0, shape)
    if name == "alpha":
        return rng.uniform(-0.2, 0.6, shape)
    raise ValueError(f"no rule for the weight {name} of {layer.name}")


def set_random_weights(model, rng):
    for layer in leaf_layers(model):
        if layer.weights and type(layer).__name__ != "Normalization":      # that one has adapted itself
            names = [w.name.split("/")[-1].split(":")[0] for w in layer.weights]
            layer.set_weights([random_weight(rng, layer, n, tuple(w.shape)).astype(np.float32)
                               for n, w in zip(names, layer.weights)])


def seed_of(name):
    return int.from_bytes(hashlib.md5(name.encode()).digest()[:4], "little")


def make_input(shape, pixels):
    """The same for all cases with that shape, so that goldens.h5 holds it once."""
    rng = np.random.default_rng(shape)
    return (rng.uniform(0, 255, shape) if pixels else rng.standard_normal(shape) * 2).astype(np.float32)


def make_case(case, kind):
    """Write one network file. -> its golden: dict(model, input, output)"""
    k = tf_keras if kind.endswith("_2") else keras
    ending, name = {"keras": (".keras", case.name), "h5": (".h5", case.name + "_h5"),
                    "h5_2": (".h5", case.name + "_keras2"), "zip_2": (".keras", case.name + "_zip_keras2")}[kind]
    path = LAYERS / (name + ending)
    k.backend.clear_session()                            # automatic names start again
    model = case.build(k)
    set_random_weights(model, np.random.default_rng(seed_of(case.name)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                  # "HDF5 is considered legacy"
        model.save(path)
    if ending == ".keras":
        # Keras stores the members of its zip files. A reader must do both, and deflated they are small:
        # so only a few of the files stay as Keras writes them.
        rewrite_zip(path, None if case.name in KEPT_STORED else zipfile.ZIP_DEFLATED)
    x = make_input((2,) + tuple(model.input_shape[1:]), case.pixels)
    # the golden is the output of what the file holds, not of the network that was saved
    y = k.models.load_model(path, compile=False).predict(x, verbose=0)
    if not np.all(np.isfinite(y)) or y.dtype != np.float32:
        raise ValueError(f"{name}: the output is not finite or not float32")
    if not np.allclose(y, model.predict(x, verbose=0), atol=1e-6):
        raise ValueError(f"{name}: the file does not hold the network")
    return name, dict(model=path.name, input=x, output=y)


def read_goldens(path):
    if not path.exists():
        return {}
    with h5py.File(path) as f:
        return {name: dict(model=g.attrs["model"], input=g["input"][()], output=g["output"][()])
                for name, g in f.items()}


def create_hdf5(path):
    """-> an HDF5 file with new-style groups, a tenth of the old ones' size (HDF5 1.10 reads them), and a function
    that makes a group. New-style groups would note the time, which h5py's own functions cannot turn off."""
    properties = {kind: h5py.h5p.create(kind) for kind in (h5py.h5p.FILE_CREATE, h5py.h5p.GROUP_CREATE)}
    for p in properties.values():
        p.set_obj_track_times(False)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V110)
    f = h5py.File(h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, properties[h5py.h5p.FILE_CREATE], access))
    return f, lambda name: h5py.Group(h5py.h5g.create(f.id, name.encode(),
                                                      gcpl=properties[h5py.h5p.GROUP_CREATE]))


def write_goldens(path, goldens):
    f, create_group = create_hdf5(path)
    with f:
        written = {}                     # the same array in another group: a hard link to it
        for name, golden in sorted(goldens.items()):
            group = create_group(name)
            group.attrs["model"] = golden["model"]
            for kind in ("input", "output"):
                data = golden[kind]
                key = (data.shape, data.tobytes())
                if key in written:
                    group[kind] = written[key]
                else:
                    written[key] = group.create_dataset(kind, data=data)


def make_layers():
    for add in (conv_cases, activation_cases, normalization_cases, pooling_cases, shape_cases, dense_cases,
                merge_cases, model_cases):
        add()
    LAYERS.mkdir(parents=True, exist_ok=True)
    goldens = {}
    if tf_keras is None:
        print("tf_keras is not installed: the files that Keras 2 wrote are kept as they are")
        goldens = {n: g for n, g in read_goldens(LAYERS / "goldens.h5").items() if n.endswith("_keras2")}
    for case in CASES:
        for kind in ("keras",) + tuple(case.also):
            if tf_keras or not kind.endswith("_2"):
                name, golden = make_case(case, kind)
                goldens[name] = golden
    write_goldens(LAYERS / "goldens.h5", goldens)
    known = {g["model"] for g in goldens.values()} | {"goldens.h5"}
    for path in LAYERS.iterdir():
        if path.name not in known:                       # of a case that is no more
            path.unlink()
    sizes = sorted((p.stat().st_size, p.name) for p in LAYERS.iterdir())
    print(f"layers: {len(goldens)} networks, {sum(s for s, _ in sizes):,} bytes; smallest {sizes[0]}, "
          f"largest {sizes[-3:]}")


# ---------------------------------------------------------------- mixed: a network for the whole pipeline
def build_mixed():
    """40x48 pictures, 5 outputs: nine convolutions among most other kinds of layers."""
    L = keras.layers
    image = keras.Input((40, 48, 3), name="image")
    x = L.Conv2D(16, 5, strides=2, padding="same", activation="relu", name="stem_conv")(image)

    a = L.Conv2D(12, 1, use_bias=False, name="a_conv")(x)
    a = L.ReLU(name="a_relu")(L.BatchNormalization(name="a_bn")(a))
    b = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="b_depthwise")(x)
    b = L.Conv2D(20, 1, use_bias=False, name="b_conv")(L.BatchNormalization(name="b_bn")(b))
    c = L.AveragePooling2D(3, 1, padding="same", name="c_pool")(x)
    c = L.Conv2D(8, (1, 5), padding="same", name="c_conv1")(c)
    c = L.Conv2D(8, (5, 1), padding="same", activation="relu", name="c_conv2")(c)
    x = L.Concatenate(name="join")([a, b, c])

    x = L.SeparableConv2D(26, 3, padding="same", activation="relu", name="separable")(x)
    branch = L.Conv2D(26, 3, padding="same", use_bias=False, name="res_conv1")(x)
    branch = L.Activation("relu", name="res_relu")(L.BatchNormalization(name="res_bn1")(branch))
    branch = L.Conv2D(26, 3, padding="same", use_bias=False, name="res_conv2")(branch)
    branch = L.BatchNormalization(name="res_bn2")(branch)
    x = L.Activation("relu", name="sum_relu")(L.Add(name="sum")([x, branch]))

    x = L.AveragePooling2D(2, name="average2")(x)
    x = L.Conv2D(24, 3, strides=2, dilation_rate=1, name="top_conv1")(x)
    x = L.Conv2D(32, 1, activation="silu", name="top_conv2")(x)
    x = L.GlobalAveragePooling2D(name="average")(x)
    x = L.Dense(5, activation="softmax", name="predictions")(x)
    return keras.Model(image, x, name="mixed")


def calibrate_head(model, draw):
    """Give every logit mean 0 and deviation 2 over a few of the oracle's pictures: top-1 varies between them."""
    rng = np.random.Generator(np.random.Philox(2024))
    h, w = model.input_shape[1:3]
    x = np.stack([draw(rng, w, h, c % 5, 5) for c in range(40)]).astype(np.float32) / 255
    head = model.get_layer("predictions")
    kernel, bias = head.get_weights()
    logits = keras.Model(model.inputs, head.input).predict(x, verbose=0) @ kernel
    kernel /= np.float32(np.round(logits.std(axis=0) / 2, 3))
    bias = -np.round((logits / np.round(logits.std(axis=0) / 2, 3)).mean(axis=0), 2)
    head.set_weights([kernel, bias.astype(np.float32)])


def make_mixed():
    sys.path.insert(0, str(ORACLE.parent))
    from filtags_oracle import draw
    keras.backend.clear_session()
    model = build_mixed()
    set_random_weights(model, np.random.default_rng(20))
    calibrate_head(model, draw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(PARITY / "mixed.keras")
        model.save(PARITY / "mixed.h5")
    rewrite_zip(PARITY / "mixed.keras")
    print(f"mixed: {model.count_params():,} parameters, .keras {(PARITY / 'mixed.keras').stat().st_size:,} bytes, "
          f".h5 {(PARITY / 'mixed.h5').stat().st_size:,} bytes")


# ---------------------------------------------------------------- images and runs, by the oracle
def oracle(*arguments):
    subprocess.run([sys.executable, str(ORACLE), *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def make_images():
    shutil.rmtree(IMAGES, ignore_errors=True)
    oracle("make-images", "--out", IMAGES, "--classes", 5, "--per-class", 7, "--seed", 11, "--size", "40,90",
           "--class-index", PARITY / "classes.txt")
    print(f"images: {sum(p.stat().st_size for p in IMAGES.rglob('*') if p.is_file()):,} bytes")


def make_compact(path):
    """Write a JSON file again without blanks."""
    path.write_text(json.dumps(json.loads(path.read_text()), separators=(",", ":"), ensure_ascii=False))


def oracle_run(name, *arguments):
    """One run of the oracle, kept in tests/parity/golden/NAME/."""
    out = PARITY / "golden" / name
    shutil.rmtree(out, ignore_errors=True)
    oracle("run", "--out", out, *arguments)
    rewrite_zip(out / "activations.npz")
    make_compact(out / "results.json")
    print(f"runs: {name}: " + ", ".join(f"{p.name} {p.stat().st_size:,}" for p in sorted(out.iterdir())))


def make_runs():
    mixed = ["--model", PARITY / "mixed.keras", "--images-dir", IMAGES, "--preprocess", "unit", "--split", 0.4]
    for seed in (7, 123):
        oracle_run(f"mixed-seed{seed}", *mixed, "--seed-rn", seed, "--k-q", "0,1,2,5,12.5,25,100,-1",
                   "--class-index", PARITY / "classes.txt")
    oracle_run("mixed-no-index", *mixed, "--seed-rn", 7, "--k-q", "0,1,25")
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(ROOT / "demo" / "images.zip") as z:
            z.extractall(folder)
        if sorted(p.name for p in pathlib.Path(folder).iterdir()) != sorted(DEMO_CLASSES):
            raise ValueError("demo/images.zip: other class folders than the demo's classes")
        for seed in (123, 5):
            oracle_run(f"demo-seed{seed}", "--model", ROOT / "demo" / "fashion.keras", "--images-dir", folder,
                       "--split", 0.2, "--seed-rn", seed, "--k-q", "0,1,5,25",
                       "--class-index", ROOT / "demo" / "classes.txt")


# ---------------------------------------------------------------- shuffle
def shuffled(n, seed):
    """How pandas orders n rows; long ones by their beginning and the MD5 of all as 32-bit little-endian."""
    import pandas as pd
    order = pd.DataFrame({"row": np.arange(n)}).sample(frac=1, random_state=seed)["row"].to_numpy("<i4")
    return {"n": n, "seed": seed, "first": order[:20].tolist(), "md5": hashlib.md5(order.tobytes()).hexdigest()}


def make_shuffle():
    orders = [shuffled(n, seed) for n in (1, 2, 3, 10, 57, 600, 5000) for seed in (0, 1, 123, 2**32 - 1)]
    percents = [0.5, 2.5, 12.5] + list(range(101))
    counts = {n: [int(np.rint(q / 100.0 * n)) for q in percents] for n in (1, 2, 3, 5, 8, 10, 64, 100, 512)}
    about = ("made by tools/make_goldens.py. shuffles: pandas' DataFrame.sample(frac=1, random_state=seed) of n rows: "
             "the first 20, and the MD5 of all of them as int32 little-endian. rint: for every n, "
             "numpy.rint(q/100.0*n) for each q of the list q.")
    each = lambda items: ",\n  ".join(items)             # an item a line, to be read as a diff
    SHUFFLE.parent.mkdir(parents=True, exist_ok=True)
    SHUFFLE.write_text(
        '{"about": ' + json.dumps(about) + ',\n "shuffles": [\n  ' + each(map(json.dumps, orders)) +
        '],\n "q": ' + json.dumps(percents) + ',\n "rint": {\n  ' +
        each(f'"{n}": {json.dumps(p)}' for n, p in counts.items()) + "}}\n")
    json.loads(SHUFFLE.read_text())
    print(f"shuffle: {SHUFFLE.stat().st_size:,} bytes")


PARTS = {"layers": make_layers, "images": make_images, "mixed": make_mixed, "runs": make_runs, "shuffle": make_shuffle}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--only", default=",".join(PARTS), help="comma list of: %(default)s")
    p.add_argument("--threads", type=int, default=2)
    options = p.parse_args()
    unknown = set(options.only.split(",")) - set(PARTS)
    if unknown:
        p.error("no such part: " + ", ".join(sorted(unknown)))
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(1)
    for name, make in PARTS.items():
        if name in options.only.split(","):
            make()


if __name__ == "__main__":
    main()
