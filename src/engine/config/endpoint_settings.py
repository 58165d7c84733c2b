"""Where requests go and what may be asked there: URL, key, limits, transport.

No key stands here itself, since the file is copied into the run: only which variable or file holds it.
"""

# pydantic copies defaults.
# ruff: noqa: RUF012

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from engine.config.secret_text import REFERENCE, SECRET_FIELD, SECRET_HEADER, looks_like_key
from engine.config.section import FilePath, Settings

TransportKind = Literal["asyncio", "httpx"]
FormatName = Literal["openai", "anthropic", "gemini"]
STREAMED_FORMATS: tuple[FormatName, ...] = ("openai", "anthropic")
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class ModelLimitSettings(Settings):
    """What may be asked of one model; null means no limit of that kind."""

    requests_per_min: Annotated[int, Field(gt=0)] | None = None
    tokens_per_min: Annotated[int, Field(gt=0)] | None = None
    input_tokens_per_min: Annotated[int, Field(gt=0)] | None = None
    output_tokens_per_min: Annotated[int, Field(gt=0)] | None = None
    max_in_flight: Annotated[int, Field(gt=0)] | None = None


class LimitSettings(ModelLimitSettings):
    """What may be asked of an endpoint: of all its models together, and of single ones beside that."""

    per_model: dict[Annotated[str, Field(min_length=1)], ModelLimitSettings] = {}

    def of(self, model: str | None) -> dict[str, int | None]:
        """The limits of one model alone, or of the endpoint as a whole (None), by kind."""
        limits = self if model is None else self.per_model.get(model, ModelLimitSettings())
        return {kind: getattr(limits, kind) for kind in ModelLimitSettings.model_fields}


class EndpointSettings(Settings):
    """A base URL with a key and limits. `base_url` is everything before the format's own path.

    That path is `/chat/completions`, `/messages` or `/models/MODEL:generateContent`; `{model}` in the base
    URL stands for the stage's model. `query` is added to the address, `key_header` carries the key instead
    of the format's own.

    With `stream` replies come as event streams, and a call ends too where nothing has come for
    `idle_timeout_s`, counted from its sending and from each piece; without it that key does nothing.
    """

    base_url: str
    key_env: str | None = None
    key_file: FilePath | None = None
    format: FormatName = "openai"
    query: dict[str, str] = {}
    key_header: str | None = None
    headers: dict[str, str] = {}
    limits: LimitSettings = LimitSettings()
    transport: TransportKind | None = None
    ca_file: FilePath | None = None
    proxy: str | None = None
    connect_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    call_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    stream: bool = False
    idle_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    cache_hint: bool = True

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        parts = _http_url(value)
        if "@" in parts.netloc or "?" in value or "#" in value:
            raise ValueError("a base URL holds no user, key or query: keys go under key_env or key_file")
        return value.rstrip("/").removesuffix("/chat/completions").removesuffix("/messages")

    @field_validator("query")
    @classmethod
    def _asks_no_key(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if SECRET_FIELD.search(name) or name.lower() in ("key", "token") or looks_like_key(text):
                raise ValueError(
                    f"{name!r} looks like a key, and this file is copied into the run: name it under "
                    "key_env, and under key_header the header that carries it"
                )
        return value

    @field_validator("key_header")
    @classmethod
    def _is_a_header(cls, value: str | None) -> str | None:
        if value is not None and not _HEADER_NAME.fullmatch(value):
            raise ValueError("this is no name of a header: letters, digits and dashes")
        return value

    @field_validator("proxy")
    @classmethod
    def _names_its_password(cls, value: str | None) -> str | None:
        who, at, _ = ("", "", "") if value is None else _http_url(value).netloc.rpartition("@")
        user, _, password = who.partition(":")
        if at and not _VARIABLE.fullmatch(password or user):
            raise ValueError(
                "a proxy's password cannot stand here, since this file is copied into the run: write "
                '"http://user:${NAME}@host:port" and set the environment variable NAME'
            )
        return value

    @field_validator("headers")
    @classmethod
    def _holds_no_key(cls, value: dict[str, str]) -> dict[str, str]:
        for header, text in value.items():
            if not _HEADER_NAME.fullmatch(header):
                raise ValueError(f"{header!r} is no name of a header: letters, digits and dashes")
            if (SECRET_HEADER.search(header) and not REFERENCE.fullmatch(text)) or looks_like_key(text):
                raise ValueError(
                    f"header {header!r} looks like a key, and this file is copied into the run: write "
                    '"${NAME}" and set the environment variable NAME'
                )
        return value

    @model_validator(mode="after")
    def _can_stream(self) -> EndpointSettings:
        if self.stream and self.format not in STREAMED_FORMATS:
            raise ValueError(
                f"replies in the format {self.format} cannot be streamed here, only those in "
                f"{' and '.join(STREAMED_FORMATS)}: leave `stream` away for this endpoint"
            )
        return self

    @model_validator(mode="after")
    def _has_one_key(self) -> EndpointSettings:
        if self.key_env and self.key_file:
            raise ValueError("give key_env or key_file, not both")
        return self


def _http_url(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, a port that is none
        is_url = False
    if not is_url or not value.isprintable() or " " in value:
        raise ValueError("this is not the URL of a server, such as http://127.0.0.1:8000/v1")
    return parts
