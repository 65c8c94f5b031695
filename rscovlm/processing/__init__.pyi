from .image_processor import RSCoVLMImageProcessor as RSCoVLMImageProcessor
from .processor import RSCoVLMProcessor as RSCoVLMProcessor
from .resolution import PixelBudget as PixelBudget
from .resolution import Size as Size
from .resolution import plan_size as plan_size
from .template import RESPONSE_AS_WRITTEN as RESPONSE_AS_WRITTEN
from .template import RESPONSE_WITH_CALLS as RESPONSE_WITH_CALLS
from .template import chat_template as chat_template
