"""The application's errors: services raise these, and one handler maps them to HTTP.

Each error names what was wrong in words a person can act on; field errors carry a JSON path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong: where (`path`), what (`code`), and in words (`message`)."""

    path: str
    code: str
    message: str

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "code": self.code, "message": self.message}


class ApplicationError(Exception):
    """Base of all errors that a caller may cause or must handle."""

    status = 400
    code = "error"
    title = "The request could not be carried out"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        extra: dict[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.errors = tuple(errors)
        self.extra = extra or {}
        self.retry_after_seconds = retry_after_seconds


class InvalidInput(ApplicationError):
    status, code, title = 400, "invalid", "The input is not valid"

    @classmethod
    def at(cls, path: str, message: str, code: str = "invalid") -> "InvalidInput":
        """The error of a single field."""
        return cls(message, errors=[FieldError(path, code, message)])


class NotAuthenticated(ApplicationError):
    status, code, title = 401, "not_authenticated", "Credentials are missing or not valid"


class NotAllowed(ApplicationError):
    status, code, title = 403, "not_allowed", "Not allowed"


class NotFound(ApplicationError):
    status, code, title = 404, "not_found", "Not found"


class Conflict(ApplicationError):
    """The state has moved on since the caller looked; `extra["state"]` says where to."""

    status, code, title = 409, "conflict", "The state has changed"


class Gone(ApplicationError):
    status, code, title = 410, "gone", "No longer available"


class TooLarge(ApplicationError):
    status, code, title = 413, "too_large", "The request is too large"


class UnsupportedMedia(ApplicationError):
    status, code, title = 415, "unsupported_media", "This content type is not understood"


class Unavailable(ApplicationError):
    status, code, title = 503, "unavailable", "Not available at the moment"
