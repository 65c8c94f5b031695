"""Remote-sensing vision-language models as a Hugging Face plug-in.

Importing this registers the processors with transformers' Auto classes, now or when transformers is imported later; it loads
neither torch nor transformers. Names are loaded when first used; they are listed in ``__init__.pyi``.
"""

import wrapt

from rscovlm.lazy import lazy_names

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)

for _name, _function in {
    "transformers.models.auto.processing_auto": "register_processor",
    "transformers.models.auto.image_processing_auto": "register_image_processor",
    "rscovlm.processing.processor": "register_processor",
    "rscovlm.processing.image_processor": "register_image_processor",
}.items():
    wrapt.register_post_import_hook(f"rscovlm.processing.registration:{_function}", _name)
