"""TRL's trainer, which also says how each task fares, stops on a loss that is no number, and saves all or nothing."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback
from trl import SFTTrainer

from rscovlm.mixtures.quotas import BLOCK
from rscovlm.records.tally import Tally
from rscovlm.training.batch_info import Notes
from rscovlm.training.callbacks import TrainerBound
from rscovlm.training.checkpoints import Engine, check_same_engine, list_files, name_magnitudes, writing
from rscovlm.training.fitting import BY_RECIPE
from rscovlm.training.hub_pushes import HubPushes
from rscovlm.training.packing import PackedMixture
from rscovlm.training.parts import Part, check_parts, freeze, set_rates
from rscovlm.training.plan import LaneState
from rscovlm.training.provenance import RUN_FILE, counts_of, read_plan, write_plan
from rscovlm.training.run_card import hardware_of, settings_of, write_card
from rscovlm.training.stopping import EndWhenTold
from rscovlm.training.subset_shares import SubsetCounts, log_name
from rscovlm.training.weighting import Weighting, digit_tokens

Describe = Callable[[int, int], dict[str, Any]]


class TaskTrainer(HubPushes, SFTTrainer):
    """`trl.SFTTrainer` with the loss by task; the loss itself is TRL's.

    Every log holds, over the rows since the last one and all processes, ``loss/TASK`` (mean over the trained tokens),
    ``tokens/TASK``, ``trained_tokens/TASK``, ``samples/TASK``, and ``dropped/REASON`` where samples were left out. Of each
    subset it holds the share of the samples that is asked for and what was trained: ``share_asked/SUBSET``,
    ``share_samples/SUBSET`` and, of all tokens, ``share_tokens/SUBSET``.

    Args:
        weighting: How much each trained token weighs. The logged ``loss/TASK`` is without.
        tolerate: Largest share of samples that may turn out unusable before the run stops, of at least a thousand.
        describe: Given steps done and number of processes, what to write about the run into a checkpoint.
        packed: What the data set draws its rows from, where they are packed; resuming from a checkpoint, its plan resumes
            from where it stood.
        shares: Given a position of the mixture, the share of each subset that is asked for there.
        frozen: Parts of the model that stay as they are, an adapter's weights in them included.
        learning_rates: Learning rate by part, for those that differ.
        settings: For `trl.SFTTrainer`.

    Raises:
        ValueError: No weight is trained, or none of a part that has a learning rate.
        FloatingPointError: While training, a loss that is no number; the message names the samples' positions.
        TooManyRejected: While training, more samples that cannot be used than tolerated; the message holds the table.
        MemoryError: While training, out of memory; the message says how long the row was and what to lower.
        OSError: While training, a checkpoint that could not be written; the one before it is left as it is.
    """

    def __init__(
        self,
        *,
        weighting: Weighting | None = None,
        tolerate: float = 0.005,
        describe: Describe | None = None,
        packed: PackedMixture | None = None,
        shares: Callable[[int], Mapping[str, float]] | None = None,
        frozen: Collection[Part] = (),
        learning_rates: Mapping[Part, float] | None = None,
        **settings: Any,
    ) -> None:
        self.tally = Tally(tolerate)
        self._fresh = Tally(tolerate)
        self.weighting = weighting or Weighting()
        self._digits: torch.Tensor | None = None
        self._describe, self._packed = describe, packed
        self._plans: dict[int, LaneState] = {}
        self._total_train_tokens: int = 0
        self._sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0, 0, 0])
        self._dropped: defaultdict[str, int] = defaultdict(int)
        self._subsets = SubsetCounts(shares)
        self._rates = learning_rates or {}
        super().__init__(**settings)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, TrainerBound):
                callback.bind(self)
        freeze(self.model, frozen)
        check_parts(self.model, frozen, self._rates)
        zero = self.accelerator.state.deepspeed_plugin
        if self._rates and (self.optimizer or (zero is not None and "optimizer" in zero.deepspeed_config)):
            raise ValueError(
                "learning_rates would not reach an optimizer that is given, or made by DeepSpeed's configuration; "
                "leave one of them out"
            )
        self._ending = EndWhenTold(self)
        if self.args.save_strategy != "no":
            self.add_callback(self._ending)
        self.add_callback(_LogWhatIsSaved())
        # TRL's loss divides by the trained tokens of all processes and accumulated batches if it gets their number,
        # but the trainer counts them only for models whose own loss does the same, which it does not believe of these;
        # without this every process weighs the same however little it trains, and two do not train as one.
        self.model_accepts_loss_kwargs = True
        if self.weighting.written:
            size = self.model.config.get_text_config().vocab_size
            self._digits = digit_tokens(self.processing_class.tokenizer, size).to(self.args.device)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Return what the losses of a step are divided by; TRL's count of tokens where all weigh the same."""
        if self.weighting.per == "token" or any("notes" not in batch for batch in batch_samples):
            return super()._get_num_items_in_batch(batch_samples, device)
        total = self.weighting.divisor(batch_samples).to(device, torch.float32)
        if self.args.average_tokens_across_devices and self.args.world_size > 1:
            total = self.accelerator.gather(total).sum()
        return total / (self.get_tp_size() * self.get_cp_size() * self.get_sp_size())

    def create_optimizer(self, model: Any = None) -> Any:
        """Make the optimiser that the arguments name, with a learning rate for each part."""
        made = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if made and self._rates:
            set_rates(optimizer, self.model if model is None else model, self._rates)
        return optimizer

    def train(
        self, resume_from_checkpoint: Any = None, trial: Any = None, ignore_keys_for_eval: Any = None, **options: Any
    ) -> Any:
        """Train as TRL does; counts, and the plan of packed rows, continue from where the checkpoint left them.

        Told to end by SIGTERM, it saves after the step it is in, and then ends the process as it would have been.

        Raises:
            ValueError: DeepSpeed or FSDP trained before, and does not now, or the other way round.
        """
        if isinstance(resume_from_checkpoint, (str, Path)):
            checkpoint = Path(resume_from_checkpoint)
            engine: Engine = "plain"
            if self.is_deepspeed_enabled or self.is_fsdp_enabled:
                engine = "DeepSpeed" if self.is_deepspeed_enabled else "FSDP"
            check_same_engine(checkpoint, engine)
            self.tally, self._total_train_tokens = counts_of(checkpoint, self.tally.limit)
            if self._packed is not None:
                states = read_plan(checkpoint)
                self._packed.resume(states)
                self._plans = {state.lane: state for state in states}
        with self._ending.listening() if self.args.save_strategy != "no" else nullcontext():
            return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval, **options)

    def next_position(self, row: int) -> int:
        """Return the first position of the mixture that no row before this one has looked at, in any process.

        Args:
            row: The next to be trained; a row of unpacked samples is its position.
        """
        if self._packed is None:
            return row
        return max((state.next for state in gather_object(list(self._plans.values()))), default=0)

    def begin_rows(self) -> None:
        """Have packed rows planned from where those trained so far stand, by what loads them from now on."""
        if self._packed is not None:
            plans = gather_object(list(self._plans.values()))
            self._packed.resume(plans)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Compute TRL's loss and note each task's share of it.

        Raises:
            ValueError: The loss is to be weighed and the batch has no notes on its samples.
        """
        notes: Notes | None = inputs.pop("notes", None)
        training = self.model.training
        if training and self.weighting and notes is None:
            raise ValueError("weighting wants notes on the samples of a batch; make the collator with notes=True")

        def observed(**arguments: Any) -> Any:
            outputs = model(**arguments)
            if notes is not None and getattr(outputs, "log_probs", None) is not None:
                samples = notes.samples_of(inputs["labels"])
                _check_finite(outputs.log_probs, samples, notes)
                if training:
                    self._note(outputs, samples, notes)
                    if self.weighting:
                        factors = self.weighting.factors(inputs["labels"], notes, self._digits)
                        outputs.log_probs = outputs.log_probs * factors.to(outputs.log_probs)
            return outputs

        return super().compute_loss(observed, inputs, return_outputs, num_items_in_batch)

    def _note(self, outputs: Any, samples: torch.Tensor, notes: Notes) -> None:
        zeros = torch.zeros(len(notes.tasks), device=samples.device, dtype=torch.float64)
        losses = zeros.index_add(0, samples.flatten(), -outputs.log_probs.detach().double().flatten()).tolist()
        trained = zeros.index_add(0, samples.flatten(), outputs.label_mask.double().flatten()).tolist()
        figures = zip(notes.tasks, losses, trained, notes.lengths, strict=True)
        for number, (task, loss, count, tokens) in enumerate(figures):
            if number in notes.faults:
                reason, detail = notes.faults[number]
                self._fresh.drop(reason, f"position {notes.positions[number]} of the mixture", detail)
                continue
            self._fresh.keep()
            sums = self._sums[task]
            for place, value in enumerate((loss, count, tokens, 1)):
                sums[place] += value
            if notes.subsets:
                self._subsets.add(notes.subsets[number], tokens, notes.positions[number])
        found = Counter(reason for reason, _ in notes.faults.values())
        for reason, count in notes.dropped.items():
            self._dropped[reason] += count
            if reason not in BY_RECIPE:
                self._fresh.dropped[reason] += count - found[reason]

    def training_step(self, *arguments: Any, **options: Any) -> Any:
        """Take TRL's step; an out-of-memory error says what to lower.

        Raises:
            MemoryError: The device has none left; the message says how long the rows were.
        """
        inputs = arguments[1] if len(arguments) > 1 else options["inputs"]
        shape, notes = tuple(inputs["input_ids"].shape), inputs.get("notes")
        try:
            loss = super().training_step(*arguments, **options)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            longest = f", the longest sample {max(notes.lengths)}" if notes is not None else ""
            raise MemoryError(
                f"out of memory on {shape[0]} rows of {shape[1]} tokens{longest}; lower packing.tokens, "
                "per_device_train_batch_size or budget.max_pixels, or set train.activation_checkpointing to true"
            ) from error
        if notes is not None:
            self._plans |= {state.lane: state for state in notes.plans}
        return loss

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Log with the tasks' figures since the last log."""
        if "loss" in logs:
            everyone = gather_object([(dict(self._sums), dict(self._dropped))])
            counts = gather_object([self._subsets.taken()])
            logs = {**logs, **_figures(everyone), **self._subsets.shares(counts)}
            self._sums.clear()
            self._dropped.clear()
        super().log(logs, start_time)
        if "loss" in logs or "train_runtime" in logs:
            # All processes come here, so all stop, with the same table.
            self._count()
            self.tally.check(BLOCK)

    def _count(self) -> None:
        """Count what all processes met since the last time; all come to the same."""
        for fresh in gather_object([self._fresh]):
            self.tally.add(fresh)
        self._fresh = Tally(self.tally.limit)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load weights by the names they are saved under.

        The trainer's own loading knows those in memory only, and leaves what it does not find as it was: random.
        """
        if self.is_fsdp_enabled or hasattr(self.model, "peft_config"):
            kinds = {name: weight.dtype for name, weight in self.model.named_parameters()}
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            # Adapters on weights of few bits are trained in bfloat16, but peft loads them in single precision.
            for name, weight in self.model.named_parameters():
                if name in kinds and weight.dtype != kinds[name] and not self.is_fsdp_enabled:
                    weight.data = weight.data.to(kinds[name])
        elif self.model.name_or_path != str(resume_from_checkpoint):
            saved = type(self.model).from_pretrained(
                resume_from_checkpoint, dtype=self.model.dtype, trust_remote_code=False, use_safetensors=True
            )
            self.model.load_state_dict(saved.state_dict())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save; the trainer writes last what says that a checkpoint is whole."""
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        plans = gather_object(list(self._plans.values()))
        self._count()
        with writing(folder, output=self.args.output_dir):
            if self.args.should_save:
                # What another run left half written there is no part of this one.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                said = self._describe and self._describe(self.state.global_step, self.accelerator.num_processes)
                content = {**(said or {}), "samples": self.tally.to_dict(), "tokens": self._total_train_tokens}
                (folder / RUN_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")
                if plans:
                    write_plan(folder, plans)
            self.accelerator.wait_for_everyone()
            super()._save_checkpoint(model, trial)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write our card of the run, in place of TRL's, which knows neither its data nor its base in a folder."""
        if self.is_world_process_zero():
            self._write_card(Path(self.args.output_dir))

    def _write_card(self, folder: Path) -> None:
        said = self._describe(self.state.global_step, self.accelerator.num_processes) if self._describe else {}
        recipe = said.get("recipe")
        config = self.model.config
        write_card(
            folder,
            base=(recipe or {}).get("model") or getattr(config, "_name_or_path", "") or None,
            adapter=hasattr(self.model, "peft_config"),
            steps=self.state.global_step,
            samples=self.tally.kept,
            tokens=self._total_train_tokens,
            history=self.state.log_history,
            recipe=recipe,
            about={
                "base_revision": getattr(config, "_commit_hash", None),
                "hardware": hardware_of(self.args.device, self.accelerator.num_processes),
                "settings": settings_of(self.args),
                "versions": said.get("versions") or {},
                "sources": said.get("sources"),
            },
        )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save model, processor and card; an adapter so that it loads in plain transformers as in peft."""
        folder = Path(output_dir or self.args.output_dir)
        card = folder / "README.md"
        there = card.exists()
        super()._save(output_dir, state_dict)
        if not there:
            card.unlink(missing_ok=True)  # peft's, which says nothing
        self._write_card(folder)
        name_magnitudes(folder)

    def _save_rng_state(self, output_dir: str) -> None:
        """Save, and wait for the others: the state file, which makes a checkpoint count, comes after all they write."""
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            list_files(Path(output_dir))


class _LogWhatIsSaved(TrainerCallback):
    """Logs before each checkpoint, which knows nothing of steps since the last log: so logs after it are as without it."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Log where the step is saved."""
        control.should_log |= control.should_save and args.logging_strategy != "no"

    on_epoch_end = on_step_end


def _figures(everyone: list[Any]) -> dict[str, float]:
    tasks: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0, 0, 0])
    dropped: defaultdict[str, int] = defaultdict(int)
    for sums, lost in everyone:
        for task, values in sums.items():
            tasks[task] = [one + other for one, other in zip(tasks[task], values, strict=True)]
        for reason, count in lost.items():
            dropped[reason] += count
    found: dict[str, float] = {}
    for task, (loss, trained, tokens, samples) in sorted(tasks.items()):
        name = log_name(task)
        found[f"loss/{name}"] = loss / max(trained, 1)
        found[f"trained_tokens/{name}"] = trained
        found[f"tokens/{name}"] = tokens
        found[f"samples/{name}"] = samples
    return found | {f"dropped/{log_name(reason)}": count for reason, count in sorted(dropped.items())}


def _check_finite(log_probs: torch.Tensor, samples: torch.Tensor, notes: Notes) -> None:
    finite = torch.isfinite(log_probs)
    if bool(finite.all()):
        return
    found = sorted(set(samples[~finite].tolist()))
    named = ", ".join(f"{notes.positions[place]} ({notes.tasks[place]})" for place in found)
    raise FloatingPointError(
        f"the loss is no number for the samples at positions {named} of the mixture; look at them with "
        "`mixture[position]`, lower the learning rate, or resume from an earlier checkpoint"
    )
