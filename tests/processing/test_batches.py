"""Prompts of mixed lengths are answered in a batch as one by one, by whatever answers them."""

from typing import Any

import pytest
from transformers import pipeline

import rscovlm
from rscovlm.engines import Conversation, Transformers
from rscovlm.scenes import SceneConfig, make_scene

QUESTIONS = ("What?", "Who is there today?", "What colour is the plane?")
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


@pytest.fixture(scope="module")
def picture() -> Any:
    return make_scene(3, SceneConfig()).image


def chat(picture: Any, question: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": question}]}]


def written(rows: list[Any]) -> list[str]:
    return [(row[0] if isinstance(row, list) else row)["generated_text"] for row in rows]


def test_pipelines_answer_batches_as_single_questions(picture: Any) -> None:
    pipe = pipeline("image-text-to-text", model=rscovlm.embedded_model())
    options: dict[str, Any] = {"max_new_tokens": 8, "return_full_text": False}
    chats = [chat(picture, question) for question in QUESTIONS]
    single = written([pipe(text=one, **options) for one in chats])
    assert len(set(single)) > 1
    assert written(pipe(chats, batch_size=3, **options)) == written(pipe(chats, **options)) == single
    texts = [IMAGE + question for question in QUESTIONS]
    plain = written([pipe(images=picture, text=text, **options) for text in texts])
    pictures = [picture] * len(texts)
    assert written(pipe(images=pictures, text=texts, batch_size=3, **options)) == plain
    assert written(pipe(images=pictures, text=texts, **options)) == plain


def test_generate_and_our_engine_answer_batches_as_single_questions(picture: Any) -> None:
    model, processor = rscovlm.load("embedded", device="cpu")
    chats = [chat(picture, question) for question in QUESTIONS]

    def generated(some: list[Any]) -> list[str]:
        options = {"tokenize": True, "return_dict": True, "return_tensors": "pt", "add_generation_prompt": True}
        inputs = processor.apply_chat_template(some, processor_kwargs={"padding": True}, **options)
        made = model.generate(**inputs, max_new_tokens=8, do_sample=False)
        texts: list[str] = processor.post_process_image_text_to_text(made[:, inputs["input_ids"].shape[1] :])
        return texts

    single = [text for one in chats for text in generated([one])]
    assert generated(chats) == single
    conversations = [Conversation(one) for one in chats]
    engines = [Transformers(model, processor, batch_size=size) for size in (1, 3)]
    found = [[reply.text for reply in engine.generate(conversations, max_new_tokens=8)] for engine in engines]
    assert found[0] == found[1] == single
