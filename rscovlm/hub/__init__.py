"""What goes to and comes from the Hub."""

from rscovlm.hub.downloads import pull
from rscovlm.hub.models import push_model
from rscovlm.hub.records import pull_records, push_dataset
from rscovlm.hub.spaces import push_metric, push_space, write_metric
from rscovlm.hub.uploads import HubUpload

__all__ = [
    "HubUpload",
    "pull",
    "pull_records",
    "push_dataset",
    "push_metric",
    "push_model",
    "push_space",
    "write_metric",
]
