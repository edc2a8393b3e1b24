"""Run under mpirun: trains small models in several ways,
and rank 0 writes what came of it to the .npz in argv[1].

argv[2:]: names of WAYS. tests/test_communicator.py runs the same with one process, and compares.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from small_runs import dataset, labelled
from test_training import Record

from glowlite import Glow, GlowConfig
from glowlite.data.batches import Augmentation
from glowlite.distributed.allreduce import Allreduce
from glowlite.distributed.mpi_processes import make_communicator
from glowlite.drawing.class_rows import in_turn
from glowlite.fast.threads import Workers
from glowlite.training.class_scoring import class_scores
from glowlite.training.loop import train
from glowlite.training.run import Training
from glowlite.training.scoring import sample_images, scores
from glowlite.training.settings import Settings

AUGMENTED = Augmentation(flip=True, shift=0.25)
WAYS = {
    "adam": ("float64", {}),
    "adamax": ("float64", {"optimizer": "adamax"}),
    "all": (
        "float64", {"optimizer": "adamax", "average": 0.9, "accumulate": 2,
            "augmentation": AUGMENTED, "clip": 5.0},
    ),
    "float32": ("float32", {"lr": 1e-4}),
    "labels": ("float64", {"classes": 3, "label_weight": 0.3, "accumulate": 2}),
    "labels in shards": ("float32", {"classes": 3, "label_weight": 0.3, "shards": 8}),
    "shards": ("float32", {"shards": 8, "augmentation": AUGMENTED}),
    "variational": ("float64", {"dequantise": "variational", "accumulate": 2}),
    "variational in shards": ("float32", {"dequantise": "variational", "shards": 8}),
    "shards with adamax": ("float32", {"shards": 8, "optimizer": "adamax", "lr": 1e-2}),
}  # fmt: skip
OF_MODEL = ("classes", "dequantise")
STEPS, BATCH = 6, 24


def make(way, ranks):
    dtype, options = WAYS[way]
    of_model = {k: v for k, v in options.items() if k in OF_MODEL}
    options = {k: v for k, v in options.items() if k not in OF_MODEL}
    settings = Settings(
        **{
            "steps": STEPS,
            "batch": BATCH,
            "lr": 2e-3,
            "log_every": 1,
            "evaluate_every": 3,
            **options,
        }
    )
    config = GlowConfig((8, 8, 3), K=2, L=2, width=16, **of_model)
    model = Glow(config, dtype=dtype, workers=Workers(1))
    return Training(model, settings, Allreduce(ranks))


def results(way, ranks):
    """Losses, held-out bits/dim, weights, average, scores and samples at the end:
    arrays by name.
    """
    training, data, seen = make(way, ranks), dataset(60), Record()
    if training.model.classes:
        data = labelled(data)
    train(training, data, [seen])
    model = training.model
    return {
        "losses": np.array([m.train_bits_per_dim for m in seen.metrics]),
        "held_out": np.array(
            [m.held_out_bits_per_dim for m in seen.metrics if m.held_out_bits_per_dim is not None]
        ),
        "grad_norms": np.array([m.grad_norm for m in seen.metrics]),
        "theta": model.store.theta,
        "average": training.average.value(),
        "scores": scores(model, data.train, 5, 4, 0, ranks=ranks),
        "samples": sample_images(in_turn(model, 40), 40, 0.7, 0, ranks),
        **({} if data.condition is None else found_classes(training, data)),
    }


def found_classes(training, data):
    """What is scored by class, and how often classes are found."""
    found = class_scores(training.model, data.train, data.labels, 5, 4, 0, ranks=training.ranks)
    accuracies = [found.bayes_accuracy, found.classifier_accuracy]
    return {"by class": found.bits, "classes": np.array(accuracies)}


if __name__ == "__main__":
    world = make_communicator()
    found = {
        f"{way}/{name}": array
        for way in sys.argv[2:]
        for name, array in results(way, world).items()
    }
    everywhere = world.allgather_rows(
        np.concatenate([found[name].astype(np.float64).ravel() for name in sorted(found)])[None]
    )
    assert (everywhere == everywhere[0]).all(), "ranks differ"
    if world.is_root:
        np.savez(sys.argv[1], size=world.size, **found)
