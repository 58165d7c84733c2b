"""Opens what a run asks: endpoints with their keys, limits and transports, and the models on them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import cast

from engine.clock import Clock
from engine.config.endpoint_settings import EndpointSettings, LimitSettings
from engine.config.matrix import Cell, cells_of, variants_of
from engine.config.model_settings import ModelSettings, StageName
from engine.config.settings import RunConfig
from engine.errors import ConfigError
from engine.journal.reader import Reader
from engine.llm.adaptive import Governor
from engine.llm.endpoint import Endpoint, request_headers, request_url, url_for_model
from engine.llm.lane import Lane
from engine.llm.limits import Admission, Limits
from engine.llm.pool import EndpointPool, Model, Route
from engine.llm.streaming import open_endpoint_transport
from engine.logs import SECRETS
from engine.runner.open_files import most_connections
from engine.schema.call import CallKind
from engine.schema.conversation import STAGE, Role
from engine.schema.job import cell_of
from engine.wire.formats import FORMATS, OPENAI, Encoder, Format
from engine.wire.openai import RequestForm
from engine.wire.reply_schema import ReplySchema, schema_parameters, with_parameters

_WINDOW_S = 60.0


async def open_models(
    stack: AsyncExitStack,
    config: RunConfig,
    endpoints: Mapping[str, EndpointSettings],
    clock: Clock,
    opened: dict[str, Endpoint],
) -> dict[str, dict[Role, Model]]:
    """The models of both sides by cell, on endpoints that `stack` closes; `opened` collects those by name.

    Raises ConfigError where a model, an endpoint or a key is missing.
    """
    models: dict[str, Model] = {}
    for each in variants_of(config):
        models[each.key] = await open_model(
            stack, each.stage, each.settings, config, endpoints, clock, opened
        )
    return {
        name: {role: models[variant.key] for role, variant in cell.sides.items()}
        for name, cell in cells_of(config).items()
    }


async def open_model(
    stack: AsyncExitStack,
    stage: StageName,
    settings: ModelSettings | None,
    config: RunConfig,
    endpoints: Mapping[str, EndpointSettings],
    clock: Clock,
    opened: dict[str, Endpoint],
    schema: ReplySchema | None = None,
) -> Model:
    """One stage's model; endpoints that `opened` has are shared, so that limits hold for all stages alike.

    Replies follow `schema` where the settings say that the endpoint can do so. Raises as `open_models`.
    """
    if settings is None:
        raise ConfigError(
            f"the configuration names no model for the {stage}: set stages.{stage}.model, or give "
            f"--{stage} MODEL."
        )
    pool = []
    for name in settings.endpoint_names:
        if name not in endpoints:
            known = ", ".join(endpoints)
            raise ConfigError(f"stage {stage} names endpoint {name!r}; there are: {known}.")
        if name not in opened:
            opened[name] = await _open_endpoint(stack, name, endpoints[name], config, clock)
        pool.append(opened[name])
    return Model(
        request_form(settings, schema), EndpointPool(pool, settings.model), _routes(settings, pool, schema)
    )


def _routes(
    settings: ModelSettings, pool: list[Endpoint], schema: ReplySchema | None = None
) -> dict[str, Route]:
    """How those of `pool` are asked that speak another format, or whose address names the model."""
    routes = {}
    for endpoint in pool:
        url = url_for_model(endpoint.url, settings.model)
        if endpoint.format is not OPENAI or url != endpoint.url:
            form = encoder(settings, endpoint.format, schema)
            routes[endpoint.name] = Route(form, url, endpoint.lane(settings.model))
    return routes


def encoder(settings: ModelSettings, format: Format, schema: ReplySchema | None = None) -> Encoder:
    """How this stage's requests look in `format`."""
    if format is OPENAI:
        return request_form(settings, schema)
    return format.form(
        settings.model,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        extra=_extra(settings, format, schema),
        send_seed=settings.send_seed,
    )


def request_form(settings: ModelSettings, schema: ReplySchema | None = None) -> RequestForm:
    """How this stage's requests look; replies follow `schema` where the settings say so."""
    return RequestForm(
        settings.model,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        extra=_extra(settings, OPENAI, schema),
        send_seed=settings.send_seed,
        max_tokens_field=settings.max_tokens_field,
    )


def _extra(settings: ModelSettings, format: Format, schema: ReplySchema | None) -> dict[str, object]:
    return with_parameters(settings.extra, schema_parameters(settings.structured, schema, format.name))


async def _open_endpoint(
    stack: AsyncExitStack, name: str, settings: EndpointSettings, config: RunConfig, clock: Clock
) -> Endpoint:
    headers = request_headers(name, settings)
    for header, value in headers.items():
        if header not in ("content-type", "accept", *FORMATS[settings.format].headers):
            SECRETS.add(value)
    limits = settings.limits
    try:
        transport = open_endpoint_transport(
            name, settings, config.transport, connections=most_connections(len(config.endpoints))
        )
    except OSError as error:
        raise ConfigError(f"endpoint {name}: ca_file {settings.ca_file}: {error.strerror}.") from error
    stack.push_async_callback(transport.aclose)
    # What nobody has named is most likely the server's, whichever model is asked: a gateway's, a GPU's. Two
    # searches under one limit would each take the other's calls for a limit that moves.
    is_known = any(any(limits.of(model).values()) for model in (None, *limits.per_model))
    governor = Governor(most=config.concurrency) if config.is_adaptive and not is_known else None
    admission = Admission(clock, governor=governor, **cast(Limits, limits.of(None)))
    return Endpoint(
        name,
        request_url(settings),
        headers,
        transport,
        admission,
        settings.call_timeout_s,
        settings.cache_hint,
        FORMATS[settings.format],
        open_lane=lambda model: _open_lane(admission, limits, model, config, clock),
    )


def _open_lane(
    admission: Admission, limits: LimitSettings, model: str, config: RunConfig, clock: Clock
) -> Lane:
    """One model's limits; found by trying where neither it nor the endpoint has any, but another model."""
    of_all, own = admission.limits, cast(Limits, limits.of(model))
    is_known = any(of_all.values()) or any(own.values())
    is_searched = config.is_adaptive and not is_known
    governor = Governor(most=config.concurrency) if is_searched and admission.governor is None else None
    return Lane(Admission(clock, **own, governor=governor, within=admission), follows_headers=is_searched)


def refill_windows(
    reader: Reader, config: RunConfig, endpoints: Mapping[str, Endpoint], clock: Clock
) -> None:
    """What earlier processes sent within the last window counts against this one's limits (P5)."""
    wall = clock.wall()
    slack_s = max((endpoint.call_timeout_s for endpoint in endpoints.values()), default=0.0)
    sends: dict[str, list[tuple[float, int, str | None]]] = {}
    sides = _models_by_side(config)
    for sent_at, name, tokens, stage, step in reader.recent_sends(
        wall - _WINDOW_S, slack_s=slack_s, now=wall
    ):
        model = _model(config, sides, stage, step)
        sends.setdefault(name, []).append((max(0.0, wall - sent_at), tokens, model))
    for name, endpoint in endpoints.items():
        sent = sends.get(name, [])
        endpoint.admission.prefill([(age_s, tokens) for age_s, tokens, _ in sent])
        for asked, lane in endpoint.lanes.items():
            # Where the model is not known, it counts against all.
            lane.admission.prefill([(age_s, tokens) for age_s, tokens, to in sent if to in (asked, None)])


def _models_by_side(config: RunConfig) -> dict[Role, str | None]:
    """The model that each side asks; None where a matrix has several."""
    models: dict[Role, set[str]] = {}
    for each in variants_of(config):
        models.setdefault(each.role, set()).add(each.settings.model)
    return {role: names.pop() if len(names) == 1 else None for role, names in models.items()}


def _model(config: RunConfig, sides: Mapping[Role, str | None], stage: str, step: str) -> str | None:
    """The model that a recorded call asked; None where that is not known."""
    if stage == STAGE:
        return next((model for role, model in sides.items() if f"{role.value}-" in step), None)
    settings = next((its for name, its in config.stages.items() if name == stage), None)
    return None if settings is None else settings.model


def has_answered(cells: Mapping[str, Cell], reader: Reader, endpoint: str, key: str) -> bool:
    """Whether the journal holds a reply of this endpoint to this variant; reads all where there is none."""
    role = Role(key.partition("@")[0])
    held = {name for name, cell in cells.items() if cell.sides[role].key == key}
    return any(
        call.kind == CallKind.REPLY and call.endpoint == endpoint and f"{role.value}-" in call.step
        and cell_of(call.item) in held
        for call in reader.call_facts_from(STAGE, 1)
    )  # fmt: skip
