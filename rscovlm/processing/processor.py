"""One object for everything around the model: images and conversations in, answers back to boxes on the original image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.processing_utils import MultiModalData, ProcessorMixin

from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Frame
from rscovlm.processing.checkpoint import drop_bare_config, write_for_other_tools
from rscovlm.processing.families import family_of_patch
from rscovlm.processing.image_processor import RSCoVLMImageProcessor
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.processing.stock import check_named, family_of, image_processor_of, stock_processor, template_of
from rscovlm.processing.template import default_template, same_text, training_template

# The coordinates that our own checkpoints of a family write: pixels of the resized image, or 0 to 1000.
_CODECS = {"qwen2_5_vl": "rscovlm-v1", "qwen3_vl": "qwen3-vl"}


class RSCoVLMProcessor(ProcessorMixin):
    """Processor of Qwen-VL checkpoints: image processor, tokenizer, chat template, and the text form of boxes.

    It needs no torchvision, and no torch with ``return_tensors="np"``. Codec and budget are saved in ``processor_config.json``,
    so training, inference and evaluation read and write boxes alike. Beside it `save_pretrained` writes what tools that
    do not know this class look for: they load it as the stock processor. The tokenizer pads on the left, as generation in
    batches wants it; training pads its rows itself.

    Args:
        image_processor: An `RSCoVLMImageProcessor`.
        tokenizer: The checkpoint's tokenizer; it must know ``<|image_pad|>``.
        chat_template: A jinja template; the family's own (`chat_template`) when None.
        codec: How boxes are written and what is asked: a `Codec` or `Dialect`, the name of a preset, a dialect's YAML file, or what
            ``to_dict`` of either gave. When None, what the
            family writes: "rscovlm-v1" for Qwen2.5-VL, "qwen3-vl" for Qwen3-VL.

    Attributes:
        codec: How boxes are written: a `rscovlm.codec.Codec`.

    Raises:
        ValueError: if the tokenizer lacks the image token, or the codec is no preset.
    """

    return_mm_token_type_ids = True

    # Every argument stays positional: transformers reads the names of saved ones from the positional part of the signature.
    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        codec: Any = None,
    ) -> None:
        if image_processor is None or tokenizer is None:
            missing = "image_processor" if image_processor is None else "tokenizer"
            raise ValueError(f"{missing} is None; give both, or load a checkpoint with from_pretrained")
        self.image_token: str = "<|image_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        if self.image_token_id in (None, getattr(tokenizer, "unk_token_id", None)):
            raise ValueError(f"the tokenizer has no {self.image_token} token; give that of a Qwen-VL checkpoint")
        # A row that is padded on the right continues after its padding: batches would answer otherwise than single rows.
        tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"  # the latter is what is saved
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.dialect = Dialect.given(codec if codec is not None else _CODECS[self.family])
        if chat_template is None:
            self.chat_template = default_template(self.family)

    @property
    def family(self) -> str:
        """The model family these pixels are for, ``"qwen2_5_vl"`` or ``"qwen3_vl"``: known by the patch size."""
        return family_of_patch(self.image_processor.patch_size).name

    @property
    def dialect(self) -> Dialect:
        """How the model writes boxes and what it is asked: codec and wording; setting it sets `codec` too."""
        return self._dialect if self._dialect.codec == self.codec else Dialect.of(self.codec)

    @dialect.setter
    def dialect(self, dialect: Any) -> None:
        self._dialect = Dialect.given(dialect)
        self.codec = self._dialect.codec

    @property
    def budget(self) -> PixelBudget:
        """Limits of the visual tokens of one image, held by the image processor."""
        return self.image_processor.budget  # type: ignore[no-any-return]

    @budget.setter
    def budget(self, budget: PixelBudget) -> None:
        self.image_processor.budget = budget

    @property
    def model_input_names(self) -> list[str]:
        """Names of everything a call may return to the model."""
        return [*super().model_input_names, "mm_token_type_ids"]

    @property
    def training_template(self) -> str:
        """The chat template with marks around what the assistant writes, where there is one that writes the same text."""
        return training_template(self.chat_template, self.family)

    # Images in, text out ----------------------------------------------------------------------------------------------

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """Turn texts and images into what the model takes; see `ProcessorMixin` for the arguments.

        Raises:
            ValueError: Videos or audio are given, which this processor does not take.
        """
        for name in ("videos", "audio", "audios"):
            given = kwargs.pop(name, None)
            # Programs for many models give every kind, and empty lists for those that a prompt has not.
            if not _nothing(given):
                raise ValueError(f"{name} were given, but this processor takes images; give the frames as images")
        # transformers before 5.23 does not read the attribute; without these types the positions of images are wrong.
        if "return_mm_token_type_ids" not in kwargs.get("text_kwargs", {}):
            kwargs.setdefault("return_mm_token_type_ids", self.return_mm_token_type_ids)
        return super().__call__(images=None if _nothing(images) else images, text=text, **kwargs)

    def apply_chat_template(
        self, conversation: Any, chat_template: str | None = None, *others: Any, **kwargs: Any
    ) -> Any:
        """Write a conversation as text or tokens; see `ProcessorMixin`.

        ``return_assistant_tokens_mask`` works with published templates too, which mark nothing themselves.
        """
        if chat_template is None and kwargs.get("return_assistant_tokens_mask"):
            chat_template = self.training_template
        return super().apply_chat_template(conversation, chat_template, *others, **kwargs)

    def replace_image_token(self, image_inputs: Mapping[str, Any], image_idx: int, **_: Any) -> str:
        """Return the run of image tokens that stands for one image."""
        patches = int(image_inputs["image_grid_thw"][image_idx].prod())
        text: str = self.image_token * (patches // self.image_processor.merge_size**2)
        return text

    def get_text_with_replacements(
        self, text: list[str], images_replacements: Sequence[str] = (), *others: Any, **more: Any
    ) -> Any:
        """Put the runs of image tokens into the texts; see `ProcessorMixin`.

        Raises:
            ValueError: Images are given, and the texts have another number of places for them.
        """
        places = sum(one.count(self.image_token) for one in text)
        if images_replacements and places != len(images_replacements):  # transformers before 5.23 drops the rest
            given = len(images_replacements)
            raise ValueError(f"the number of images is {given}, the texts have {places} places; write one for each")
        return super().get_text_with_replacements(text, images_replacements, *others, **more)

    def _get_num_multimodal_tokens(self, image_sizes: Sequence[tuple[int, int]] | None = None, **kwargs: Any) -> Any:
        """Count tokens of images given as (height, width): servers ask this while planning memory."""
        if image_sizes is None:
            return MultiModalData()
        options = self._merge_kwargs(**kwargs).get("images_kwargs", {})
        merged = (options.get("merge_size") or self.image_processor.merge_size) ** 2
        patches = [self.image_processor.get_number_of_image_patches(*size, options) for size in image_sizes]
        return MultiModalData(num_image_tokens=[count // merged for count in patches], num_image_patches=patches)

    def post_process_image_text_to_text(
        self, generated_outputs: Any, skip_special_tokens: bool = True, **kwargs: Any
    ) -> list[str]:
        """Decode what ``generate`` returned, one text for each row (the "image-text-to-text" pipeline calls this)."""
        texts: list[str] = self.tokenizer.batch_decode(
            generated_outputs, skip_special_tokens=skip_special_tokens, **kwargs
        )
        return texts

    # Text in, boxes out -----------------------------------------------------------------------------------------------

    def frames(self, images: Any) -> list[Any]:
        """Return, for each image, the pixel grid in which the model sees it, tied to the original image.

        Args:
            images: One or several of: PIL image, array (height, width[, bands]), view of a raster, `Frame`.

        Returns:
            A `Frame` for each, of the size that `plan_size` gives.
        """
        several = isinstance(images, list | tuple)
        frames = [_frame(image) for image in (images if several else [images])]
        return [frame.resized(*plan_size(frame.width, frame.height, self.budget)) for frame in frames]

    def post_process_grounding(self, texts: Any, frames: Any, *, kind: str | None = None) -> Any:
        """Read the boxes of answers to "where is ..." questions, on the original images.

        Args:
            texts: One answer or a list of them.
            frames: What `frames` returned for the image that each answer is about: one, or a list as long.
            kind: "hbb", "obb" or "quad" where all boxes are known to be of one kind.

        Returns:
            For each answer a `Decoded`: labelled boxes in pixels of the original image, and what could not be read, counted
            by reason. One answer in, one `Decoded` out; a list in, a list out.

        Raises:
            ValueError: if answers and frames differ in number. No text that a model may write raises.
        """
        return self._boxes(texts, frames, kind=kind)

    def post_process_detection(
        self,
        texts: Any,
        frames: Any,
        categories: Sequence[str] | None = None,
        *,
        kind: str | None = None,
        cutoff: float | None = None,
    ) -> Any:
        """Read the boxes of answers to "find all ..." questions, on the original images.

        Args:
            texts: One answer or a list of them.
            frames: What `frames` returned for the image that each answer is about: one, or a list as long.
            categories: The classes asked for; other labels are kept as they stand and counted under ``problems``.
            kind: "hbb", "obb" or "quad" where all boxes are known to be of one kind.
            cutoff: Similarity from which an unknown label is taken for the nearest category; None: never.

        Returns:
            As `post_process_grounding`.
        """
        return self._boxes(texts, frames, kind=kind, categories=categories, cutoff=cutoff)

    def _boxes(self, texts: Any, frames: Any, **options: Any) -> Any:
        if isinstance(texts, str):
            if isinstance(frames, list | tuple):
                if len(frames) != 1:
                    raise ValueError(f"one answer came with {len(frames)} frames; give the frame of its image")
                frames = frames[0]
            decoded = self.codec.decode(texts, frames, **options)
            points = None if decoded.points is None else decoded.points.to(_root(frames))
            return replace(decoded, objects=decoded.objects.to(_root(frames)), points=points)
        if not isinstance(frames, list | tuple) or len(texts) != len(frames):
            count = len(frames) if isinstance(frames, list | tuple) else 1
            raise ValueError(f"{len(texts)} answers came with {count} frames; give one frame for each answer")
        return [self._boxes(text, frame, **options) for text, frame in zip(texts, frames, strict=True)]

    # Saving and loading -----------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return what ``processor_config.json`` holds: codec (name or dict) and image processor with its budget."""
        config: dict[str, Any] = super().to_dict()
        config.pop("_dialect", None)
        return config | {"codec": self.dialect.saved()}

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Save processor and tokenizer, and the files by which other tools find their stock classes.

        Save the model first: its ``config.json`` decides whether those tools can (see `write_for_other_tools`).

        Args:
            save_directory: The folder, which is made.
            push_to_hub: Upload it too.
            **kwargs: As the base class takes them: ``repo_id``, ``private``, ``token``, ``commit_message`` and what else
                ``create_repo`` of huggingface_hub takes.
        """
        folder = Path(save_directory)
        files: list[str] = super().save_pretrained(str(folder), push_to_hub=push_to_hub, **kwargs)
        return files + write_for_other_tools(folder, self.image_processor)

    def _upload_modified_files(self, working_dir: Any, *arguments: Any, **options: Any) -> Any:
        # The base class uploads what it saved; other tools need the rest of the folder too.
        write_for_other_tools(Path(working_dir), self.image_processor)
        drop_bare_config(Path(working_dir))
        return super()._upload_modified_files(working_dir, *arguments, **options)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        cache_dir: Any = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        *,
        codec: Any = None,
        budget: PixelBudget | None = None,
        **kwargs: Any,
    ) -> Any:
        """Load a checkpoint, ours or a stock one, in whatever files its publisher or trainer left.

        A template not saved by this class gives way to ours where both write the same text and ours alone has tools.

        Args:
            pretrained_model_name_or_path: Folder or Hub repository.
            cache_dir: As every ``from_pretrained`` takes it, and so the next four.
            force_download: See there.
            local_files_only: See there.
            token: See there.
            revision: See there.
            codec: Replaces the saved one; a checkpoint that saved none has that of its family (`rscovlm.processing.families`).
            budget: Replaces the saved one.
            **kwargs: As every ``from_pretrained`` takes them.

        Raises:
            ValueError: The checkpoint is of no family that is read here, or names a processor of its own.
        """
        kwargs |= {"cache_dir": cache_dir, "force_download": force_download, "revision": revision}
        kwargs |= {"local_files_only": local_files_only} | ({} if token is None else {"token": token})
        from_auto = kwargs.pop("_from_auto", False)
        saved, _ = cls.get_processor_dict(pretrained_model_name_or_path, **kwargs)
        ours = "codec" in saved
        if from_auto and not ours:  # an Auto class must give what the checkpoint's owner expects
            stock = stock_processor(pretrained_model_name_or_path, kwargs)
            return stock.from_pretrained(pretrained_model_name_or_path, **kwargs)
        check_named(pretrained_model_name_or_path, saved.get("processor_class"))
        if not ours and codec is None:
            codec = family_of(pretrained_model_name_or_path, kwargs).dialect
        processor = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        if not ours and "chat_template" not in kwargs:
            given = template_of(saved.get("chat_template"), processor.tokenizer)
            template = default_template(processor.family)
            # The published text stays where ours adds only marks: other tools, such as TRL, know it by its text.
            better = given is None or (same_text(given, template) and not same_text(given, template, tools=True))
            processor.chat_template = template if better else given
        if codec is not None:
            processor.dialect = codec
        if budget is not None:
            processor.budget = budget
        return processor

    @classmethod
    def _get_arguments_from_pretrained(
        cls, pretrained_model_name_or_path: Any, processor_dict: Any = None, **kwargs: Any
    ) -> list[Any]:
        # Saved without a class name, so that other tools choose theirs: here it is always ours.
        # What concerns images stays away from the tokenizer, which would keep it and impose it on every call.
        others = {
            key: value for key, value in kwargs.items() if key not in RSCoVLMImageProcessor.valid_kwargs.__annotations__
        }
        tokenizer = cls._load_tokenizer_from_pretrained("tokenizer", pretrained_model_name_or_path, **others)
        return [image_processor_of(pretrained_model_name_or_path, kwargs), tokenizer]


def _frame(image: Any) -> Any:
    if isinstance(image, Frame):
        return image
    frame = getattr(image, "frame", None)
    if isinstance(frame, Frame):
        return frame
    size = getattr(image, "size", None)
    if isinstance(size, tuple) and len(size) == 2:  # PIL
        return Frame(*size)
    shape = tuple(getattr(image, "shape", ()))
    if len(shape) not in (2, 3):
        raise ValueError(f"no frame of a {type(image).__name__}; give a PIL image, an array, a raster view or a Frame")
    first = len(shape) == 3 and shape[0] in (1, 3, 4)
    return Frame(shape[2], shape[1]) if first else Frame(shape[1], shape[0])


def _root(frame: Any) -> Any:
    """The grid of the original image, as far as ``frame`` shows it: all of it unless ``frame`` is a crop."""
    a, b, c, d, e, f = frame.to_root
    width = round(max(a * x + b * y + c for x in (0, frame.width) for y in (0, frame.height)))
    height = round(max(d * x + e * y + f for x in (0, frame.width) for y in (0, frame.height)))
    return replace(frame, width=max(1, width), height=max(1, height), to_root=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))


def _nothing(given: Any) -> bool:
    """Tell whether no image is given: None, an empty list, or empty lists in it."""
    return given is None or (isinstance(given, (list, tuple)) and all(map(_nothing, given)))
