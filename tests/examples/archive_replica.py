"""A replica for the test of the archive: the real server on an engine that boxes by the picture's bytes, and dies once."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

from rscovlm.engines import Conversation
from rscovlm.processing.resolution import PixelBudget
from rscovlm.serving.server import ZoomServer
from tests.zoom.scripted import Scripted

SEEN = [0]


def box(conversation: Conversation, _: int) -> str:
    """Answer after a while; the fourth answer of the first process that comes so far is its end."""
    SEEN[0] += 1
    if SEEN[0] == 4:
        try:
            Path(sys.argv[2]).touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os._exit(9)
    time.sleep(0.1)
    (image,) = conversation.images()
    side = 20 + hashlib.sha256(image.tobytes()).digest()[0] % 30
    return f"2,2,{side},{side} plane\n"


if __name__ == "__main__":
    ZoomServer(Scripted(box, budget=PixelBudget(28 * 28, 112 * 112)), port=int(sys.argv[1])).serve_forever()
