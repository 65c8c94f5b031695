"""The chain distilled into one look: a student that sees the overview learns from a teacher that also sees two closer looks.

    python examples/distil.py --output runs/distil                # the embedded model on generated scenes
    python examples/distil.py --model CHECKPOINT --rows questions.jsonl --output runs/distil

A row has scene (an image file of any size), question, answer and evidence: x1, y1, x2, y2 in its pixels. The student writes an
answer of its own and is drawn towards what the teacher, a frozen copy, would say at each of its tokens: TRL's reverse KL
(`GKDTrainer.generalized_jsd_loss`). TRL's own trainers show both the same input, so the loss is computed here. Questions that the
teacher gets wrong are left out. At the end `--held-out` generated scenes, which nobody trained on, say what one look has gained and what
the chain gets: the markings are 7.5 pixels wide in the overview, where a program that knows them can read them.
"""

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import torch
from trl import SFTConfig, SFTTrainer
from trl.experimental.gkd import GKDTrainer

import rscovlm
from rscovlm.engines import Conversation
from rscovlm.scenes import make_zoom_scene
from rscovlm.training.sft import SFT_ARGUMENTS, as_dataset
from rscovlm.zoom.summary import same_answer


class Distiller(SFTTrainer):
    """Draws the student's own answers towards the teacher's view of them."""

    teacher: Any = None
    tokens = 16

    def compute_loss(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
        """Return the reverse KL divergence, mean of the tokens of an answer that the student draws."""
        student, start = inputs["student"], inputs["student"]["input_ids"].shape[1]
        with torch.no_grad():
            said = model.generate(**student, do_sample=True, max_new_tokens=self.tokens)[:, start:]
            target = logits(self.teacher, inputs["teacher"], said)
        return GKDTrainer.generalized_jsd_loss(logits(model, student, said), target, labels=said, beta=1.0)


def logits(model: Any, views: dict[str, Any], said: Any) -> Any:
    """Return what a model expects at each token of an answer, (1, tokens, vocabulary)."""
    shape, start = views["input_ids"].shape, views["input_ids"].shape[1]
    more = {"input_ids": said, "attention_mask": torch.ones_like(said)}
    longer = {
        name: torch.cat([value, more.get(name, torch.zeros_like(said))], 1) if value.shape == shape else value
        for name, value in views.items()
    }
    return model(**longer).logits[:, start - 1 : -1]


def generated(folder: Path, seeds: range) -> list[dict[str, Any]]:
    """Draw scenes with a marking that a sharp eye reads in the overview."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in seeds:
        scene = make_zoom_scene(seed, 336)
        scene.image.save(folder / f"{seed}.png")
        row = {"scene": str(folder / f"{seed}.png"), "question": scene.question, "answer": scene.answer}
        rows.append({**row, "evidence": [float(side) for side in scene.pad.crop]})
    return rows


def looks(row: dict[str, Any]) -> list[tuple[float, ...]]:
    """Return the evidence with context, twice as wide, and the evidence itself."""
    x1, y1, x2, y2 = row["evidence"]
    across, down = (x2 - x1) / 2, (y2 - y1) / 2
    return [(x1 - across, y1 - down, x2 + across, y2 + down), (x1, y1, x2, y2)]


def measured(chain: rscovlm.ZoomChain, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the share of right answers from one look, from the chain's own looks, and from the true regions."""
    asked = [(row["scene"], row["question"]) for row in rows]
    regions = [looks(row) for row in rows]
    options_of: dict[str, dict[str, Any]] = {
        "one look": {"zoom": False},
        "the chain": {},
        "the true regions": {"regions": regions},
    }
    ways = {}
    for name, options in options_of.items():
        given = chain.ask_many(asked, pictures=False, **options)
        right = [same_answer(one.answer, row["answer"]) for one, row in zip(given, rows, strict=True)]
        ways[name] = sum(right) / len(right)
    return ways


def main(arguments: list[str] | None = None) -> Distiller:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded", help="checkpoint; the embedded model by default")
    parser.add_argument("--rows", type=Path, help="JSONL file; generated scenes without it")
    parser.add_argument("--output", type=Path, default=Path("runs/distil"), help="where scenes and checkpoints go")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--scenes", type=int, default=256, help="generated scenes")
    parser.add_argument("--held-out", type=int, default=64, help="generated scenes to measure on; 0 for none")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    options = parser.parse_args(arguments)
    if options.rows is None:
        rows = generated(options.output / "scenes", range(options.scenes))
    else:
        rows = [json.loads(line) for line in options.rows.read_text(encoding="utf-8").splitlines()]

    model, processor = rscovlm.load(options.model, device="cpu")  # the trainer moves it
    chain = rscovlm.ZoomChain(rscovlm.engines.Transformers(model, processor, batch_size=16), max_steps=2)

    def encoded(asked: Conversation) -> dict[str, Any]:
        text = processor.apply_chat_template(
            asked.messages, tools=asked.tools, tokenize=False, add_generation_prompt=True
        )
        return dict(processor(text=[text], images=asked.images(), return_tensors="pt"))

    kept = generated(options.output / "held-out", range(10**6, 10**6 + options.held_out))
    before = measured(chain, kept) if kept else {}
    samples = []
    for row in rows:
        taught = chain.ask(row["scene"], row["question"], regions=looks(row))
        if same_answer(taught.answer, row["answer"]):
            teacher = encoded(Conversation(taught.messages[:-1], taught.tools))
            student = encoded(chain.start(row["scene"], row["question"], zoom=False).pending)
            samples.append({"student": student, "teacher": teacher})
    print(f"the teacher is right about {len(samples)} of {len(rows)} questions")
    mixture = [samples[step % len(samples)] for step in range(8 * options.steps)]
    settings = {"output_dir": str(options.output), "max_steps": options.steps, "use_cpu": not torch.cuda.is_available()}
    settings |= {"learning_rate": options.learning_rate, "gradient_accumulation_steps": 8, "logging_steps": 1}
    settings |= {"per_device_train_batch_size": 1, "bf16": False, "save_strategy": "no", "report_to": "none"}
    trainer = Distiller(
        model,
        SFTConfig(**SFT_ARGUMENTS, **settings, gradient_checkpointing=False),
        data_collator=lambda batch: {name: batch[0][name] for name in ("student", "teacher")},
        train_dataset=as_dataset(mixture),
        processing_class=processor,
    )
    trainer.teacher = copy.deepcopy(model).eval().requires_grad_(False).to(trainer.args.device)
    trainer.train()
    trainer.save_model(str(options.output / "model"))
    processor.save_pretrained(options.output / "model")
    if kept:
        model.eval()
        after = measured(chain, kept)
        figures = [f"{name} {before[name]:.2f} -> {after[name]:.2f}" for name in before]
        print(f"right of {len(kept)} held-out questions, before -> after: {', '.join(figures)}")
    return trainer


if __name__ == "__main__":
    main()
