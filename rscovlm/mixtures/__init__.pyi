from .mixture import Mixture as Mixture
from .mixture import Subset as Subset
from .weight_stages import Stages as Stages
