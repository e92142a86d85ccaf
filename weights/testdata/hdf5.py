"""Writes earliest.h5 and latest.h5: what h5py makes of much that a file can have.

They were written with h5py 3.7.0 and HDF5 1.10.8.
"""
import h5py
import numpy as np


def write(path, libver):
    with h5py.File(path, "w", libver=libver) as f:
        f.attrs["keras_version"] = b"2.15.0"
        f.attrs["backend"] = np.bytes_(b"tensorflow")
        f.attrs["model_config"] = '{"class_name": "Sequential", "config": {"name": "vgg16"}}'
        f.attrs["empty"] = ""
        w = f.create_group("model_weights/dense")
        for i in range(8):  # more would have a fractal heap in latest.h5
            w.create_dataset(f"kernel_{i}:0", shape=(4, 5 + i), dtype="f4")
        links = f.create_group("other_links")
        links["soft"] = h5py.SoftLink("/model_weights/dense/kernel_1:0")
        links["hard"] = w["kernel_1:0"]
        links["round"] = f["/"]
        t = f.create_group("numbers")
        for i, d in enumerate(("f2", ">f4", "f8", "i1", "i4")):
            t.create_dataset(d, shape=(3, i), dtype=d)
        t = f.create_group("others")
        t["named"] = np.dtype("f2")
        t.create_dataset("of_named", shape=(5, 6), dtype=t["named"])
        t.create_dataset("bfloat16", shape=(7,), dtype="V2").attrs["dtype"] = "bfloat16"
        t.create_dataset("bool", shape=(2,), dtype="?")
        t.create_dataset("complex", shape=(2,), dtype="c8")
        t["null"] = h5py.Empty("f4")
        s = f.create_group("shapes")
        s["scalar"] = np.float32(1)
        s.create_dataset("chunks", shape=(1 << 20, 1 << 20), maxshape=(None, 1 << 20), chunks=(1, 64), dtype="f4")
        many = s.create_dataset("many_attributes", shape=(2, 3), dtype="f4")
        for i in range(5):
            many.attrs[f"attribute_{i}"] = np.arange(i + 1)


write("earliest.h5", "earliest")
write("latest.h5", "latest")
