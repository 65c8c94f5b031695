"""XML of others is data: no document type, in no encoding."""

from __future__ import annotations

import pytest

from rscovlm.rasters.plain_xml import plain_xml

LAUGHS = '<!DOCTYPE a [<!ENTITY b "cccccccccc"><!ENTITY d "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&d;&d;&d;</a>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
@pytest.mark.parametrize(
    "text",
    [LAUGHS, '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>', "<!DOCTYPE a><a/>", "<a", "", '<a b="&c;"/>'],
)
def test_document_types_and_fragments_are_refused(text: str, encoding: str) -> None:
    for head in ("", f'<?xml version="1.0" encoding="{encoding}"?>', '<?xml version="1.0" encoding="none"?>'):
        with pytest.raises(ValueError, match="document type|not well-formed|multi-byte"):
            plain_xml((head + text).encode(encoding))


def test_plain_documents_are_read() -> None:
    for encoding in ("utf-8", "utf-16"):
        root = plain_xml(
            f'<?xml version="1.0" encoding="{encoding}"?><!-- c --><a>&lt;ü<b c="d"/></a>'.encode(encoding)
        )
        assert (root.text, root[0].get("c")) == ("<ü", "d")
