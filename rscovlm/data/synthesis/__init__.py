"""Making LRS-VQA-Zoom data: template questions, questions on unique targets, multiple choice."""

from rscovlm.data.synthesis.config import SynthesisConfig, WriterConfig
from rscovlm.data.synthesis.interview import Interview
from rscovlm.data.synthesis.multiple_choice import multiple_choice
from rscovlm.data.synthesis.run import synthesise
from rscovlm.data.synthesis.templates import TemplateConfig, template_questions
from rscovlm.data.synthesis.unique import UniqueConfig, unique_questions, unique_targets

__all__ = [
    "Interview",
    "SynthesisConfig",
    "TemplateConfig",
    "UniqueConfig",
    "WriterConfig",
    "multiple_choice",
    "synthesise",
    "template_questions",
    "unique_questions",
    "unique_targets",
]
