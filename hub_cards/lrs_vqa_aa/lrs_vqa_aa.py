"""LRS-VQA's average accuracy as an `evaluate` module. Thin over `rscovlm.metrics.lrs_vqa_aa`."""

from typing import Any

import datasets
import evaluate

from rscovlm.metrics import lrs_vqa_aa

_DESCRIPTION = """\
Average accuracy (AA) and overall accuracy (OA) of LRS-VQA, questions about very large overhead images: an answer is
right if it equals the true one or shares a WordNet synset with it; AA is the mean over categories, the headline the mean
over sources. The official normalisation and the reference system's; no NLTK and no download.
"""

_INPUTS = """\
Args:
    predictions: one answer per question.
    references: one dict per question: "answer", "category", and "source" (its name, or the question's identifier).
    normalisation: "official" (lower case alone) or "rscovlm" (blanks and periods around go too).
Returns:
    average_accuracy, overall_accuracy, sources, categories, pooled_category_accuracy, items, correct, settings.
Examples:
    >>> module = evaluate.load("rscovlm/lrs_vqa_aa")
    >>> reference = {"answer": "grey", "category": "object color", "source": "FAIR_12"}
    >>> module.compute(predictions=["gray"], references=[reference])["average_accuracy"]
    1.0
"""

_CITATION = """\
@article{li2025rscovlm,
  title = {Co-Training Vision Language Models for Remote Sensing Multi-task Learning},
  author = {Li, Qingyun and Ma, Shuran and Luo, Junwei and Yu, Yi and Zhou, Yue and Wang, Fengxiang and Lu, Xudong and
            Wang, Xiaoxing and He, Xin and Chen, Yushi and Yang, Xue and Yan, Junchi},
  journal = {arXiv preprint arXiv:2511.21272},
  year = {2025},
}
"""


# `evaluate` makes the module's name of the class's name; its documentation is what its doctests are found in.
@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS)
class LrsVqaAa(evaluate.Metric):
    """Average accuracy of LRS-VQA."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": text, "references": {"answer": text, "category": text, "source": text}}
            ),
        )

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one question."""
        super().add(prediction=prediction, reference=_checked(reference), **kwargs)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add several questions."""
        super().add_batch(predictions=list(predictions), references=[_checked(item) for item in references], **kwargs)

    def _compute(self, predictions: Any, references: Any, normalisation: Any = "official") -> dict[str, Any]:
        return lrs_vqa_aa(
            predictions,
            [item["answer"] for item in references],
            categories=[item["category"] for item in references],
            sources=[item["source"] for item in references],
            normalisation=normalisation,
        )


def _checked(item: Any) -> dict[str, str]:
    if not isinstance(item, dict) or set(item) != {"answer", "category", "source"}:
        raise ValueError(f"a reference is {item!r:.200}; give a dict of exactly 'answer', 'category' and 'source'")
    return item
