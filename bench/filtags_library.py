"""libfiltags from Python, as much of it as the measurements need (include/filtags.h)."""
import ctypes
import threading

import numpy as np

ONE = 2.0 ** 31
PREPROCESS = {"none": 0, "caffe": 1, "tf": 2, "torch": 3, "unit": 4}


class Layer(ctypes.Structure):
    _fields_ = [("index", ctypes.c_size_t), ("name", ctypes.c_char_p), ("class_name", ctypes.c_char_p),
                ("n_dims", ctypes.c_size_t), ("shape", ctypes.c_size_t * 4), ("n_filters", ctypes.c_size_t)]


class KnownNetwork(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("height", ctypes.c_size_t), ("width", ctypes.c_size_t),
                ("preprocess", ctypes.c_int), ("n_classes", ctypes.c_size_t)]


class EngineOptions(ctypes.Structure):
    _fields_ = [("layers", ctypes.POINTER(ctypes.c_size_t)), ("n_layers", ctypes.c_size_t),
                ("wants_output", ctypes.c_bool), ("wants_maps", ctypes.c_bool), ("is_reference", ctypes.c_bool),
                ("isa", ctypes.c_int), ("max_batch", ctypes.c_size_t), ("n_threads", ctypes.c_size_t)]


class Network:
    def __init__(self, library, network, weights, n_threads, batch):
        lib = self.lib = ctypes.CDLL(library)
        for name in ("filtags_error_message",):
            getattr(lib, name).restype = ctypes.c_char_p
        lib.filtags_model_layer.restype = ctypes.POINTER(Layer)
        lib.filtags_network_find.restype = ctypes.POINTER(KnownNetwork)
        for name in ("filtags_model_n_layers", "filtags_engine_n_filters"):
            getattr(lib, name).restype = ctypes.c_size_t
        known = lib.filtags_network_find(network.encode()).contents
        self.shape, self.preprocess = (known.height, known.width, 3), known.preprocess
        self.batch = batch
        model, engine = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(lib.filtags_model_create_network(network.encode(), ctypes.c_size_t(0), weights.encode(),
                                                    ctypes.byref(model)))
        layers = [i for i in range(lib.filtags_model_n_layers(model))
                  if lib.filtags_model_layer(model, ctypes.c_size_t(i)).contents.n_filters]
        array = (ctypes.c_size_t * len(layers))(*layers)
        options = EngineOptions(array, len(layers), False, False, False, 0, batch, n_threads)
        self.check(lib.filtags_engine_create(model, ctypes.byref(options), ctypes.byref(engine)))
        self.n_filters = lib.filtags_engine_n_filters(engine)
        self.workers = []
        for _ in range(n_threads):
            worker = ctypes.c_void_p()
            self.check(lib.filtags_worker_create(engine, ctypes.byref(worker)))
            self.workers.append(worker)

    def check(self, status):
        if status:
            raise RuntimeError(self.lib.filtags_error_message().decode())

    def load(self, path, to):
        height, width, channels = (ctypes.c_size_t(n) for n in self.shape)
        self.check(self.lib.filtags_image_load(str(path).encode(), height, width, channels, self.preprocess,
                                               to.ctypes.data_as(ctypes.c_void_p)))

    def work(self, worker, take, tensors, paths, found):
        room = np.empty((self.batch, *self.shape), np.float32)
        bad = np.empty(self.batch, np.intc)
        while True:
            first, n = take()
            if n == 0:
                return
            if paths is not None:
                for i in range(n):
                    self.load(paths[first + i], room[i])
            x = room[:n] if paths is not None else tensors[first:first + n]
            self.check(self.lib.filtags_worker_run(worker, x.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(n),
                                                   found[first:].ctypes.data_as(ctypes.c_void_p), None,
                                                   bad.ctypes.data_as(ctypes.c_void_p)))

    def run(self, tensors=None, paths=None):
        """Activations [n, filters], by all threads: each takes the next few pictures."""
        n_all = len(tensors if paths is None else paths)
        found = np.empty((n_all, self.n_filters), np.uint32)
        lock, state = threading.Lock(), {"next": 0}

        def take():
            with lock:
                first, left = state["next"], n_all - state["next"]
                n = min(self.batch, -(-left // len(self.workers)))
                state["next"] += n
                return first, n
        threads = [threading.Thread(target=self.work, args=(worker, take, tensors, paths, found))
                   for worker in self.workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found / ONE
