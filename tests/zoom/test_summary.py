import json

import pytest
from PIL import Image

from rscovlm.engines import Conversation
from rscovlm.geometry import Boxes, Frame
from rscovlm.zoom import ZoomChain, report
from rscovlm.zoom.summary import ZoomQuestion
from tests.zoom.scripted import Scripted, call, texts

SIZE = Frame(2016, 2016)


def test_the_report_compares_with_without_and_oracle() -> None:
    """Question n zooms onto the evidence, beside it, or not at all; a crop of the evidence is answered rightly."""
    image = Image.new("RGB", (2016, 2016))
    image.paste("red", (400, 400, 600, 600))

    def script(conversation: Conversation, turn: int) -> str:
        number = int("".join(texts(conversation)).split("@")[1][0])
        *_, last = conversation.images()
        if turn or not any("Zoom in" in line for line in texts(conversation)):
            return (
                "Red."
                if last.width < 1000 and last.getpixel((last.width // 2, last.height // 2)) == (255, 0, 0)
                else "no"
            )
        return [call(195, 195, 305, 305), call(700, 700, 900, 900), "red"][number]

    evidence = Boxes([[400, 400, 600, 600]], "hbb", SIZE)
    asked = [ZoomQuestion(image, f"@{number}", "red", evidence) for number in range(3)]
    found = report(ZoomChain(Scripted(script)), asked)
    assert list(found.with_zoom.right) == [True, False, True]
    assert found.with_zoom.accuracy == pytest.approx(2 / 3) and found.without.accuracy == 0
    assert found.gain == pytest.approx(2 / 3) and found.oracle is not None and found.oracle.accuracy == 1
    assert found.zoom_rate == pytest.approx(2 / 3) and found.evidence_rate == 0.5
    assert found.with_zoom.visual_tokens > found.without.visual_tokens == 1296
    assert found.stopped == {"answer": 3} and found.questions == 3
    written = json.loads(json.dumps(found.to_dict()))
    figures = {"accuracy", "tokens", "visual_tokens", "seconds"}
    assert written["oracle"]["accuracy"] == 1 and set(written["with_zoom"]) == set(written["without"]) == figures
    for name in ("questions", "gain", "zoom_rate", "evidence_rate", "stopped", "problems"):
        assert written.pop(name) == getattr(found, name)
    assert set(written) == {"with_zoom", "without", "oracle"}


def test_unknown_evidence_is_not_counted() -> None:
    found = report(ZoomChain(Scripted(lambda *_: "x")), [ZoomQuestion(Image.new("RGB", (300, 300)), "?", "x")])
    assert found.oracle is None and found.evidence_rate is None and found.gain == 0
    with pytest.raises(ValueError, match="no question"):
        report(ZoomChain(Scripted([])), [])
