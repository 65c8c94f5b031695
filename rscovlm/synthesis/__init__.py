"""Making LRS-VQA-Zoom data: template questions, questions on unique targets, multiple choice."""

from rscovlm.synthesis.config import SynthesisConfig, WriterConfig
from rscovlm.synthesis.interview import Interview
from rscovlm.synthesis.multiple_choice import multiple_choice
from rscovlm.synthesis.run import synthesise
from rscovlm.synthesis.templates import TemplateConfig, template_questions
from rscovlm.synthesis.unique import UniqueConfig, unique_questions, unique_targets

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
