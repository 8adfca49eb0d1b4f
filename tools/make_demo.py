#!/usr/bin/env python3
"""Make the demo in demo/: a small network trained on Fashion-MNIST and a few labelled pictures.

    python tools/make_demo.py

needs Keras 3 on TensorFlow and Pillow (tests/parity/oracle/requirements.txt has the versions it was
made with) and the data set, which Debian and Ubuntu package as dataset-fashion-mnist. It writes

    demo/fashion.keras              the trained network, as Keras 3 saves it
    demo/classes.txt                line i: 'wnid label' of network output i (the folder name, twice)
    demo/images.zip                 pictures of the TEST set, a folder for each class
    demo/LICENSE-fashion-mnist.txt  the licence of the pictures
    demo/README.md                  what is in there, with the accuracy measured on the whole test set

Training takes seven to ten minutes on two cores. The seed fixes the initial weights and the order of the
pictures; another CPU or version of TensorFlow rounds differently and ends with slightly other weights.
"""

import argparse
import gzip
import io
import json
import os
import pathlib
import re
import time
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATASET_DIR = "/usr/share/datasets/fashion-mnist"
COPYRIGHT_FILE = "/usr/share/doc/dataset-fashion-mnist/copyright"

# The data set's label numbers, 0 to 9, in words that can be folder names.
CLASSES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle-boot"]

# The oldest date that a zip file can hold: with it, the same content gives the same file.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


# ---------------------------------------------------------------- data
def read_idx(path):
    """The array in a gzip-compressed IDX file of bytes (the format of MNIST)."""
    data = gzip.decompress(pathlib.Path(path).read_bytes())
    if data[:3] != b"\x00\x00\x08":
        raise SystemExit(f"{path}: not an IDX file of bytes")
    shape = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def read_split(folder, prefix):
    """-> pictures uint8 [n, 28, 28], labels uint8 [n]"""
    return (read_idx(f"{folder}/{prefix}-images-idx3-ubyte.gz"), read_idx(f"{folder}/{prefix}-labels-idx1-ubyte.gz"))


def grey_to_rgb(images):
    """uint8 [n, 28, 28] -> float32 [n, 28, 28, 3], 0 to 255: what `filtags` makes of a grey PNG"""
    return np.repeat(images[..., None], 3, axis=-1).astype(np.float32)


def training_batches(images, labels, batch, seed):
    """Shuffled batches, each picture mirrored at random and shifted by up to two pixels."""

    def augment(x, y):
        x = tf.image.grayscale_to_rgb(tf.cast(x[..., None], tf.float32))
        flip = tf.random.uniform([tf.shape(x)[0], 1, 1, 1]) < 0.5
        x = tf.where(flip, x[:, :, ::-1], x)
        dy, dx = tf.unstack(tf.random.uniform([2], 0, 5, tf.int32))  # one shift for the whole batch
        return tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]])[:, dy : dy + 28, dx : dx + 28], y

    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.shuffle(len(images), seed=seed).batch(batch, drop_remainder=True)
    return data.map(augment).prefetch(2)


# ---------------------------------------------------------------- network
def conv_bn(x, filters, name, relu=True):
    """Convolution -> batch normalization -> (ReLU): the tagged output is the one before the normalization."""
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name + "_conv")(x)
    x = layers.BatchNormalization(name=name + "_bn")(x)
    return layers.ReLU(name=name + "_relu")(x) if relu else x


def build_model():
    """Six convolutions: stem, two parallel ones (3x3 and 5x5) that are joined, a residual block, top."""
    image = keras.Input((28, 28, 3), name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)  # so that raw 0..255 pictures are the right input
    x = conv_bn(x, 24, "stem")
    x = layers.MaxPooling2D(2, name="stem_pool")(x)

    fine = layers.Conv2D(24, 3, padding="same", activation="relu", name="fine_conv")(x)
    coarse = layers.Conv2D(24, 5, padding="same", activation="relu", name="coarse_conv")(x)
    x = layers.Concatenate(name="join")([fine, coarse])

    branch = conv_bn(x, 48, "block1")
    branch = conv_bn(branch, 48, "block2", relu=False)
    x = layers.Add(name="block_add")([x, branch])
    x = layers.ReLU(name="block_relu")(x)
    x = layers.MaxPooling2D(2, name="block_pool")(x)

    x = layers.Conv2D(96, 3, padding="same", activation="relu", name="top_conv")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    x = layers.Dense(len(CLASSES), activation="softmax", name="predictions")(x)
    return keras.Model(image, x, name="fashion")


def train(images, labels, epochs, batch, seed):
    model = build_model()
    steps = epochs * (len(images) // batch)
    rate = keras.optimizers.schedules.CosineDecay(3e-4, steps, warmup_target=3e-3, warmup_steps=steps // 8)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(training_batches(images, labels, batch, seed), epochs=epochs, shuffle=False, verbose=2)
    return model


def without_chance(name, data):
    """A member of a .keras file without what differs from run to run: the date, and memory addresses as ids."""
    if name == "metadata.json":
        return json.dumps({**json.loads(data), "date_saved": "1980-01-01@00:00:00"}).encode()
    if name == "config.json":
        ids = {}
        return re.sub(
            rb'("shared_object_id": )(\d+)', lambda m: m[1] + b"%d" % ids.setdefault(m[2], len(ids) + 1), data
        )
    return data


def rewrite_zip(path, compression=None):
    """Write a zip file (.keras, .npz) again so that the same content gives the same file.

    compression: None keeps that of each member; zipfile.ZIP_DEFLATED, for instance, changes it.
    """
    with zipfile.ZipFile(path) as z:
        members = [(info, z.read(info)) for info in z.infolist()]
    with zipfile.ZipFile(path, "w") as z:
        for info, data in members:
            z.writestr(
                zipfile.ZipInfo(info.filename, ZIP_DATE),
                without_chance(info.filename, data),
                info.compress_type if compression is None else compression,
            )


def save_uncompiled(model, path):
    """Save the network alone: a freshly built one has no optimizer whose state would be saved."""
    bare = build_model()
    bare.set_weights(model.get_weights())
    bare.save(path)
    rewrite_zip(path)


def accuracy_of_file(path, images, labels):
    """Share of right top-1 answers of a saved network, and that share for every class."""
    model = keras.models.load_model(path, compile=False)
    answers = model.predict(grey_to_rgb(images), batch_size=500, verbose=0).argmax(axis=1)
    right = answers == labels
    return float(right.mean()), [float(right[labels == c].mean()) for c in range(len(CLASSES))]


# ---------------------------------------------------------------- files
def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", optimize=True)
    return out.getvalue()


def write_images(path, images, labels, per_class):
    """images.zip: the first pictures of every class, as grey 8-bit PNGs in class folders."""
    with zipfile.ZipFile(path, "w") as z:  # stored: PNGs are compressed already
        for name in sorted(CLASSES):
            of_class = images[labels == CLASSES.index(name)][:per_class]
            for i, pixels in enumerate(of_class, 1):
                info = zipfile.ZipInfo(f"{name}/{name}_{i:04d}.png", ZIP_DATE)
                info.external_attr = 0o100644 << 16  # an ordinary file, readable after `unzip`
                z.writestr(info, png(pixels))


def licence_text(path):
    """The Expat (MIT) licence out of a Debian copyright file, with the data set's own copyright line."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    owner = re.search(r"^Files: \*\nCopyright: (.*)$", text, re.M).group(1)
    owner = owner.replace("https:tech", "https://tech")  # a slip in Debian's file
    body = text.rsplit("License: Expat\n", 1)[1].rstrip()
    lines = ["" if line.strip() == "." else line.strip() for line in body.splitlines()]
    return (
        f"Fashion-MNIST, https://github.com/zalandoresearch/fashion-mnist\n\n"
        f"The MIT License (MIT)\n\nCopyright © {owner}\n\n" + "\n".join(lines) + "\n"
    )


README = """\
# The demo

`filtags demo` runs on these files; they are also built into the program.

| file | what it is |
|---|---|
| `fashion.keras` | a small network ({parameters:,} parameters, {convs} convolutions) for ten kinds of clothes |
| `classes.txt` | line i is `wnid label` of network output i; both are the name of the class folder |
| `images.zip` | {pictures} pictures of the test set, {per_class} of each class, grey 28x28 PNGs in class folders |
| `LICENSE-fashion-mnist.txt` | the licence of the pictures |

**Accuracy: {percent:.2f} %** on the {n_test:,} test pictures of Fashion-MNIST, measured with the saved file read back.
None of them was used in training.

| class | right |
|---|---|
{per_class_rows}

The network takes 28x28 pictures with three channels (grey, three times) and raw values 0 to 255: it divides by 255
itself, so `--preprocess none`, the default, is right. Its convolutions are `stem_conv`, the parallel `fine_conv` (3x3)
and `coarse_conv` (5x5), `block1_conv` and `block2_conv` of a residual block, and `top_conv`.

## How it was made

    python tools/make_demo.py --epochs {epochs} --batch {batch} --seed {seed}

makes all files in this folder anew, from Debian's package `dataset-fashion-mnist` (60,000 training pictures, mirrored
and shifted at random; AdamW with a cosine schedule) with Keras {keras_version} on TensorFlow {tf_version}. Another CPU
or another version rounds differently and ends with slightly other weights.

## Licence

The pictures are Fashion-MNIST's, by Zalando SE, under the MIT licence (`LICENSE-fashion-mnist.txt`). The network was
trained for this project from random weights and is under the project's licence.

Han Xiao, Kashif Rasul, Roland Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms. arXiv:1708.07747
"""


def write_readme(path, options, n_test, accuracy, per_class):
    model = build_model()
    rows = [f"| {name} | {100 * share:.1f} % |" for name, share in zip(CLASSES, per_class)]
    path.write_text(
        README.format(
            parameters=model.count_params(),
            convs=sum(isinstance(l, layers.Conv2D) for l in model.layers),
            pictures=options.per_class * len(CLASSES),
            per_class=options.per_class,
            percent=100 * accuracy,
            n_test=n_test,
            per_class_rows="\n".join(rows),
            epochs=options.epochs,
            batch=options.batch,
            seed=options.seed,
            keras_version=keras.__version__,
            tf_version=tf.__version__,
        ),
        encoding="utf-8",
    )


def parse_options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--dataset-dir", default=DATASET_DIR, help="folder with the four .gz files (%(default)s)")
    p.add_argument("--copyright", default=COPYRIGHT_FILE, help="the package's copyright file (%(default)s)")
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "demo", help="where to write (the project's demo/)")
    p.add_argument("--epochs", type=int, default=16)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--per-class", type=int, default=60, help="pictures of each class in images.zip")
    p.add_argument("--seed", type=int, default=123)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--keep-model", action="store_true", help="don't train: keep fashion.keras, remake the rest")
    return p.parse_args()


def main():
    options = parse_options()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    network = options.out / "fashion.keras"

    test_images, test_labels = read_split(options.dataset_dir, "t10k")
    write_images(options.out / "images.zip", test_images, test_labels, options.per_class)
    (options.out / "classes.txt").write_text("".join(f"{name} {name}\n" for name in CLASSES))
    (options.out / "LICENSE-fashion-mnist.txt").write_text(licence_text(options.copyright), encoding="utf-8")

    if not options.keep_model:
        start = time.time()
        model = train(*read_split(options.dataset_dir, "train"), options.epochs, options.batch, options.seed)
        save_uncompiled(model, network)
        print(f"trained in {time.time() - start:.0f} s")
    accuracy, per_class = accuracy_of_file(network, test_images, test_labels)
    write_readme(options.out / "README.md", options, len(test_images), accuracy, per_class)
    print(
        f"{network}: {network.stat().st_size:,} bytes; right on {100 * accuracy:.2f} % of "
        f"{len(test_images):,} test pictures"
    )


if __name__ == "__main__":
    main()
