"""Real patches through the whole path: encode, train, generate, decode, measure."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.data.sources.labeltxt import parse_label_txt
from rscovlm.embedded import embedded_model
from rscovlm.engines import Transformers
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.metrics import ap_nc
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import image_of
from rscovlm.records import Annotation, Record
from rscovlm.tasks import RenderOptions
from rscovlm.tasks.detect import question
from rscovlm.training.optimizer import MuonAdamW
from rscovlm.training.sft import build_trainer
from tests.shared_data import shared

SIDE = 84
Patch = tuple[Image.Image, Objects, Frame]


def _patches(image: Path, labels: Path, count: int) -> list[Patch]:
    """Cut windows that hold a few whole objects and no part of another."""
    picture = Image.open(image).convert("RGB")
    annotations, _ = parse_label_txt(labels.read_text(encoding="utf-8").splitlines())
    frame = Frame(*picture.size)
    objects = Objects(
        Boxes(np.array([item.box for item in annotations]), "quad", frame), tuple(item.label for item in annotations)
    )
    hulls = objects.boxes.as_kind("hbb").coords
    rng = np.random.default_rng(0)
    cut: list[Patch] = []
    while len(cut) < count:
        x, y = int(rng.integers(0, picture.width - SIDE)), int(rng.integers(0, picture.height - SIDE))
        low, high = hulls[:, :2] - (x, y), hulls[:, 2:] - (x, y)
        inside = (low >= 0).all(axis=1) & (high <= SIDE).all(axis=1)
        touched = (high > 0).all(axis=1) & (low < SIDE).all(axis=1)
        if 1 <= inside.sum() <= 4 and np.array_equal(inside, touched):
            window = frame.cropped(x, y, x + SIDE, y + SIDE)
            cut.append((picture.crop((x, y, x + SIDE, y + SIDE)), objects[np.flatnonzero(inside)].to(window), window))
    return cut


def _record(image: Image.Image, objects: Objects, classes: list[str]) -> Record:
    boxes = zip(objects.boxes.coords.tolist(), objects.labels, strict=True)
    found = tuple(Annotation(tuple(box), label, "quad") for box, label in boxes)
    return Record("1", "dota", "train", "detection", (image_of(image),), objects=found, categories=tuple(classes))


def test_eight_real_patches_are_reproduced(tmp_path: Path) -> None:
    pairs = [(shared(f"dota/{name}.png"), shared(f"dota/{name}.txt")) for name in ("P1888", "P0706")]
    from transformers import AutoModelForImageTextToText, AutoProcessor

    import rscovlm  # noqa: F401  registers the processor

    patches = [patch for image, labels in pairs for patch in _patches(image, labels, 4)]
    processor: Any = AutoProcessor.from_pretrained(embedded_model())
    model: Any = AutoModelForImageTextToText.from_pretrained(embedded_model())
    classes = sorted({label for _, objects, _ in patches for label in objects.labels})
    renderer = RecordRenderer(processor.codec, processor.budget, ".", RenderOptions(rephrase_rate=0))
    records = [_record(image, objects, classes) for image, objects, _ in patches]
    samples = [renderer(record, np.random.default_rng(0)) for record in records]
    steps = 120
    trainer = build_trainer(
        model,
        processor,
        Mixture([Subset("patches", samples)], length=8 * steps),
        optimizer=MuonAdamW(model.named_parameters()),
        output_dir=str(tmp_path),
        max_steps=steps,
        per_device_train_batch_size=8,
        lr_scheduler_type="linear",
        activation_checkpointing=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer.train()
    engine = Transformers(model.eval(), processor)
    asked = question(Dialect.of(processor.codec), classes)
    conversations = [asked.conversation([image]) for image, _, _ in patches]
    replies = engine.generate(conversations, max_new_tokens=200)
    found = [
        processor.codec.decode(reply.text, frame, kind="quad", categories=classes).objects
        for reply, (_, _, frame) in zip(replies, patches, strict=True)
    ]
    truth = [objects for _, objects, _ in patches]
    assert ap_nc(found, truth, iou_thresholds=(0.5,))["ap_nc50"]["mean"] >= 0.9
