"""How well the model answers while it is trained: a small fixed set, generated and measured every so many steps."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object

from rscovlm.engines import Conversation, Engine
from rscovlm.engines.engine import dialect_of, replies
from rscovlm.engines.transformers import Transformers
from rscovlm.files import check_output, write_text
from rscovlm.geometry import Frame, Objects
from rscovlm.records.pictures import loaded
from rscovlm.settings.nearest import nearest
from rscovlm.tasks.table import task_of
from rscovlm.tasks.task import Answered, Task
from rscovlm.training.callbacks import TrainerBound
from rscovlm.training.segments import NAME

Sample = dict[str, Any]

RESULTS_FILE = "evaluation.jsonl"
"""File of a run's folder with what was measured, step by step."""


@dataclass(frozen=True)
class EvaluatedSample:
    """A sample and what the model said.

    Attributes:
        task: The sample's task.
        truth: Its boxes, or None where it is answered in words.
        expected: The true answer's text.
        reply: What was generated.
    """

    task: str
    truth: Objects | None
    expected: str
    reply: str


def ask(engine: Engine, samples: Sequence[Sample], *, max_new_tokens: int) -> list[EvaluatedSample]:
    """Have each sample's last answer generated.

    Args:
        engine: Who answers.
        samples: Samples as they are trained; what comes before the last assistant turn is given.
        max_new_tokens: Largest number of tokens of an answer.
    """
    answers = replies(engine, [_question(sample) for sample in samples], max_new_tokens=max_new_tokens)
    return [
        EvaluatedSample(sample["task"], sample.get("truth"), _text(sample["messages"][-1]), reply.text)
        for sample, reply in zip(samples, answers, strict=True)
    ]


def score(asked: Sequence[tuple[EvaluatedSample, Sample]], engine: Engine) -> dict[str, float]:
    """Measure answers by task: AP_nc50 of detection, accuracy at 0.5 of grounding, what other tasks measure, or exact answers.

    A task that finds objects is measured in exact answers too where its samples state none, as conversations do.

    Args:
        asked: Answers, each with its sample.
        engine: Who answered; its codec reads the boxes.

    Returns:
        ``TASK/ap_nc50``, ``TASK/acc50``, ``TASK/accuracy`` and the like, as fractions.
    """
    groups: dict[str, list[Answered]] = defaultdict(list)
    for one, sample in asked:
        groups[one.task].append(_answered(one, sample))
    found: dict[str, float] = {}
    for task, members in sorted(groups.items()):
        known, stated = _task(task), any(one.truth is not None or one.areas is not None for one in members)
        measure = type(known).measure if stated or not known.finds else Task.measure
        figures = measure(known, members, dialect_of(engine))
        found |= {f"{task}/{name}": value for name, value in figures.items()}
    return found


def metric_of(task: str, samples: Iterable[Sample]) -> str:
    """Return what is measured first of the samples of a task, as `score` names it.

    >>> metric_of("detection", [{"truth": object()}]), metric_of("detection", [{}]), metric_of("geolocation", [{}])
    ('ap_nc50', 'accuracy', 'within_200km')
    """
    known = _task(task)
    stated = any(sample.get("truth") is not None or sample.get("areas") is not None for sample in samples)
    return known.metric if stated or not known.finds else Task.metric


def _task(name: str) -> Task:
    """Return the task of samples; several in one conversation are measured as the last, whose answer is generated."""
    return task_of(name.rpartition("+")[2])


def check_targets(targets: Mapping[str, Mapping[str, float]], samples: Sequence[Sample]) -> None:
    """Refuse targets of what no evaluation will measure, which the first change of weights would find hours later.

    Args:
        targets: By subset, by the name that is measured.
        samples: The fixed set.

    Raises:
        ValueError: A target that none of the samples is measured by; the message names the nearest that one is.
    """
    tasks = {sample["task"] for sample in samples}
    names = {f"{task}/{metric_of(task, (one for one in samples if one['task'] == task))}" for task in tasks}
    for subset, wanted in targets.items():
        for name in wanted:
            if name not in names:
                raise ValueError(f"balance has the target {name!r} for {subset!r}, not measured{nearest(name, names)}")


def write_results(path: Path, step: int, results: Mapping[str, float]) -> None:
    """Add a line to the table of results, in place of those of this step and later ones that a killed run left.

    Args:
        path: A file of JSON lines, ``{"step": ..., "results": {...}}``.
        step: Steps done.
        results: What was measured.

    Raises:
        ValueError: The file is no such table.
    """
    check_output(path, overwrite=True)
    kept = [row for row in _results(path) if row["step"] < step] if path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [*kept, {"step": step, "results": dict(results)}]
    # Overwritten because every line of it has been read as a result: the table has no header, which its readers would meet.
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows), overwrite=True)


def _results(path: Path) -> list[dict[str, Any]]:
    """Read a table of results; any other file is refused."""
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or set(row) != {"step", "results"} or not isinstance(row["step"], int):
            raise ValueError(f"{path}, line {number}: is no result of a training run, so the file is left as it is")
        rows.append(row)
    return rows


class Answers(TrainerBound):
    """Logs ``eval_TASK/METRIC`` of a fixed set every so many steps and at the end; processes share the set out.

    The same goes into ``evaluation.jsonl`` of the run's folder.

    Args:
        samples: The fixed set.
        every: Steps between measurements.
        max_new_tokens: Largest number of tokens of an answer.
        batch_size: Answers generated together.
        decide: Told steps and what was measured, except at the last step; what it gives is logged too.

    Raises:
        ValueError: No samples, or ``every`` below 1.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        every: int,
        max_new_tokens: int = 512,
        batch_size: int = 8,
        decide: Callable[[int, Mapping[str, float]], Mapping[str, float]] | None = None,
    ) -> None:
        if not samples or every < 1:
            raise ValueError(f"{len(samples)} samples every {every} steps; give at least one of each")
        self.samples, self.every = list(samples), every
        self.max_new_tokens, self.batch_size, self.decide = max_new_tokens, batch_size, decide

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure where it is time."""
        if state.global_step % self.every and state.global_step != state.max_steps:
            return
        found = self.measure()
        logs = {f"eval_{name}": value for name, value in found.items()}
        if state.is_world_process_zero:
            write_results(Path(args.output_dir) / RESULTS_FILE, state.global_step, found)
        if self.decide is not None and state.global_step < state.max_steps:
            logs |= self.decide(state.global_step, found)
        # A log marks the step as logged, and takes the sums of training with it unless the model is set to answer.
        wanted, model = control.should_log, self.trainer.model
        model.eval()
        self.trainer.log(logs)
        model.train()
        control.should_log = wanted

    def measure(self) -> dict[str, float]:
        """Have the set answered as the model now stands, and measure it."""
        accelerator = self.trainer.accelerator
        model = accelerator.unwrap_model(self.trainer.model)
        mine = range(accelerator.process_index, len(self.samples), accelerator.num_processes)
        with _answering(model):
            engine = Transformers(model, self.trainer.processing_class, self.batch_size)
            asked = ask(engine, [self.samples[place] for place in mine], max_new_tokens=self.max_new_tokens)
        everyone = gather_object(list(zip(mine, asked, strict=True)))
        return score(
            [(one, self.samples[place]) for place, one in sorted(everyone, key=lambda entry: entry[0])], engine
        )


@contextmanager
def _answering(model: Any) -> Iterator[None]:
    """Set a model to answer, with attention that takes several rows, and leave it and the random state as they were."""
    training = model.training
    text = model.config.get_text_config()
    attention = text._attn_implementation
    state = torch.random.get_rng_state()
    try:
        if attention == NAME:
            model.set_attn_implementation({"text_config": "sdpa"})
        model.eval()
        yield
    finally:
        model.train(training)
        if attention == NAME:
            model.set_attn_implementation({"text_config": NAME})
        torch.random.set_rng_state(state)


def _question(sample: Sample) -> Conversation:
    images = iter([loaded(image) for image in sample.get("images") or ()])
    messages = []
    for turn in sample["messages"][:-1]:
        content = turn["content"]
        if not isinstance(content, str):
            content = [{**block, "image": next(images)} if block["type"] == "image" else block for block in content]
        messages.append({**turn, "content": content})
    return Conversation(messages, sample.get("tools"))


def _text(turn: Any) -> str:
    content = turn["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def _answered(one: EvaluatedSample, sample: Sample) -> Answered:
    """Return what a task measures; boxes are those of the first image."""
    frame = None if one.truth is None else one.truth.boxes.frame
    if one.truth is not None and frame is None:
        raise ValueError(f"a {one.task} sample has no boxes with a frame; measure it as words")
    areas = sample.get("areas")
    if areas is not None:
        # Polygons and points are written in the first image's grid, which a sample without any does not tell.
        frame = areas[0].sets.frame if areas else Frame(*sample["images"][0].size)
    seen = None if frame is None else frame.resized(*sample["images"][0].size)
    return Answered(one.reply, one.expected, one.truth, seen, areas)
