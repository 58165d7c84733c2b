"""Examines what a configuration asks: one tiny call to each endpoint for each model, as a run would send it.

The call carries the stage's own parameters, so that one which the server refuses shows here and not in a run.
Nothing is tried again: what the first answer says is what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.clock import Clock
from engine.config.endpoint_settings import EndpointSettings, TransportKind
from engine.config.matrix import variants_of
from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.errors import CallFailed, ConfigError, EngineError, KeyRefused, ServerFailed, Stopped
from engine.llm.endpoint import request_headers, request_url, url_for_model
from engine.llm.rate_headers import SeenLimits, read_limits
from engine.llm.streaming import open_endpoint_transport
from engine.logs import SECRETS
from engine.runner.endpoints import encoder
from engine.schema.call import CallKey, Reply, call_seed
from engine.wire.formats import FORMATS
from engine.wire.message_log import MessageLog

DEADLINE_S = 60.0
_KEY = CallKey("doctor", "doctor", "hello")
_SYSTEM, _HELLO = "You answer in one short sentence.", "Say hello."
# What passes by itself, or with money; the rest wants another configuration.
_PASSING = frozenset({"throttled", "server_error", "quota", "connect", "deadline", "reset"})
_ADVICE = {
    "key_refused": "Check the variable or file that holds the key.",
    "not_served": "The provider does not serve this country or region: name another endpoint.",
    "quota": "The account's money or quota is used up.",
    "throttled": "It is busy, or its limits are used up at the moment.",
    "connect": "Is the server running, and is the base URL right?",
    "deadline": f"No reply came in time: a call has {DEADLINE_S:.0f} s here, or less by `call_timeout_s`.",
    "server_error": "The server has a fault of its own.",
    "bad_request": "It does not take this request: look at the stage's model and parameters.",
    "context_full": "The model's context has no room for `max_tokens`: lower it.",
    "empty": "The model said nothing that could be a turn.",
}


@dataclass(frozen=True, slots=True)
class Examination:
    """What one endpoint answered for one model. `failure` is None where the reply was understood.

    `first_s` is the time to the first piece of a reply that was streamed, connecting not counted.
    """

    endpoint: str
    stages: tuple[str, ...]
    model: str
    format: str
    url: str
    latency_s: float | None = None
    first_s: float | None = None
    status: int | None = None
    limits: SeenLimits = field(default_factory=SeenLimits)
    reply: Reply | None = None
    failure: EngineError | None = None
    advice: str = ""

    @property
    def exit_code(self) -> int:
        """That of a run which met this."""
        if isinstance(self.failure, CallFailed):
            if self.failure.reason == "key_refused":
                return KeyRefused.exit_code
            return Stopped.exit_code if self.failure.reason in _PASSING else ConfigError.exit_code
        return 0 if self.failure is None else self.failure.exit_code


def asking_stages(config: RunConfig) -> dict[str, ModelSettings]:
    """Whatever asks a model, by what it is called: stages, and the variants of a matrix."""
    asking: dict[str, ModelSettings] = dict(config.stages.items())
    return asking | {each.title: each.settings for each in variants_of(config) if each.name}


def questions(config: RunConfig, names: Mapping[str, object]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each endpoint with the stages that ask it the same of the same model, in the configuration's order."""
    for name in names:
        alike: list[tuple[ModelSettings, list[str]]] = []
        for stage, settings in asking_stages(config).items():
            if name in settings.endpoint_names:
                asked = settings.model_copy(update={"endpoint": name})
                known = next((stages for other, stages in alike if other == asked), None)
                if known is None:
                    alike.append((asked, [stage]))
                else:
                    known.append(stage)
        yield from ((name, tuple(stages)) for _, stages in alike)


async def examine(
    name: str,
    endpoint: EndpointSettings,
    stages: tuple[str, ...],
    settings: ModelSettings,
    transport_kind: TransportKind,
    clock: Clock,
    *,
    has_system: bool = True,
) -> Examination:
    """Send one call of `settings` to the endpoint; whatever comes of it is the examination's content."""
    format = FORMATS[endpoint.format]
    url = url_for_model(request_url(endpoint), settings.model)
    facts = Examination(name, stages, settings.model, format.title, url)
    try:
        headers = request_headers(name, endpoint)
        for header, value in headers.items():
            if header not in ("content-type", "accept", *format.headers):
                SECRETS.add(value)
        transport = open_endpoint_transport(name, endpoint, transport_kind, connections=1)
    except EngineError as error:
        return replace(facts, failure=error)
    except OSError as error:
        failure = ConfigError(f"endpoint {name}: ca_file {endpoint.ca_file}: {error.strerror}.")
        return replace(facts, failure=failure)
    messages = MessageLog()
    messages.extend([("system", _SYSTEM), ("user", _HELLO)] if has_system else [("user", _HELLO)])
    hint = "doctor" if endpoint.cache_hint else None
    body = encoder(settings, format).encode(messages, seed=call_seed(0, _KEY), cache_key=hint)
    wall, started = clock.wall(), clock.now()
    try:
        deadline_s = min(DEADLINE_S, endpoint.call_timeout_s)
        raw = await transport.post(url, headers, body, deadline_s=deadline_s)
        facts = replace(
            facts,
            latency_s=clock.now() - started,
            first_s=raw.first_s,
            status=raw.status,
            limits=read_limits(raw.headers, wall=wall),
        )
        return replace(facts, reply=format.decode(raw.status, raw.headers, raw.body, wall=wall))
    except CallFailed as failure:
        return replace(facts, failure=failure, advice=_advice(failure, format.title, format.path))
    finally:
        await transport.aclose()


def _advice(failure: CallFailed, title: str, path: str) -> str:
    if failure.reason in ("not_found", "not_json", "wrong_shape"):
        what = "The base URL or the model's name is wrong" if isinstance(failure, ServerFailed) else (
            f"Something answers there, but not in the {title} format"
        )  # fmt: skip
        return f"{what}: the base URL is everything before {path}."
    return _ADVICE.get(failure.reason, "")
