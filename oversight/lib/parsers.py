"""DRF's parser in front of every JSON body: the strict codec, whatever the charset claims."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from oversight.lib import codec
from oversight.lib.errors import TooLarge, UnsupportedMedia

MAX_BODY_BYTES = 2 * 1024 * 1024


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        request = (parser_context or {})["request"]
        refuse_foreign_charset(request.content_type)
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"the body is larger than {MAX_BODY_BYTES:,} bytes")
        return codec.decode(body)


def refuse_foreign_charset(content_type: str | None) -> None:
    """JSON is UTF-8; any other charset is an attempt to have the body read differently elsewhere.

    Raises:
        UnsupportedMedia: the content type names another charset.
    """
    for part in (content_type or "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset" and value.strip(" \"'").lower() not in (
            "utf-8",
            "utf8",
        ):
            raise UnsupportedMedia("JSON is read as UTF-8 only")
