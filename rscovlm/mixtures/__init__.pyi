from .mixture import Mixture as Mixture
from .mixture import Stages as Stages
from .mixture import Subset as Subset
