"""Images inside content parts: decoded, bounded and recognised by their first bytes."""

import base64
import binascii

from oversight.lib.errors import InvalidInput

MAX_IMAGE_BYTES = 256 * 1024


def recognise(data: bytes) -> str | None:
    """The media type that the bytes themselves claim, of those that are accepted."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def decode(data: str, media_type: str, path: str) -> bytes:
    """The bytes of an image part.

    Raises:
        InvalidInput: not base64, too large, or not the type that it says.
    """
    if len(data) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise InvalidInput.at(path, f"an image may have {MAX_IMAGE_BYTES // 1024} KiB", "too_large")
    try:
        image = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput.at(path, "not base64", "not_base64") from None
    if len(image) > MAX_IMAGE_BYTES:
        raise InvalidInput.at(path, f"an image may have {MAX_IMAGE_BYTES // 1024} KiB", "too_large")
    if recognise(image) != media_type:
        raise InvalidInput.at(path, f"the bytes are not {media_type}", "not_this_image")
    return image
