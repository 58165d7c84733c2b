"""When an endpoint refuses everything that a run may ask, and what the user reads then.

A refusal belongs to the endpoint, not to one call: its key, its quota, its address, its format. Whoever calls
sets it once, and the run goes on with the other endpoints of the pool, or stops.
"""

from __future__ import annotations

from engine.errors import CallFailed, ConfigError, EngineError, KeyRefused, Stopped
from engine.llm.endpoint import Endpoint

_FEWEST_MISUNDERSTOOD = 3
# One empty reply may be a model's whim; so many, and nothing else, are its settings.
_FEWEST_UNUSABLE = 8


def is_hopeless(endpoint: Endpoint, failure: CallFailed) -> bool:
    """Whether an endpoint has never answered, and is wrongly set by what it has sent instead."""
    return not endpoint.has_answered and (
        failure.reason == "tls"
        or endpoint.misunderstood >= _FEWEST_MISUNDERSTOOD
        or endpoint.unusable >= _FEWEST_UNUSABLE
    )


def stopping_error(endpoint: Endpoint, failure: CallFailed) -> EngineError:
    """The error of an endpoint that refuses every call, with what to do about it."""
    format = endpoint.format
    where = f"endpoint {endpoint.name} ({endpoint.url}) answered: {failure}."
    match failure.reason:
        case "key_refused":
            return KeyRefused(
                f"{where} The key was refused: check the variable or file that the configuration names. "
                "Nothing is lost: `engine resume` goes on from here."
            )
        case "not_served":
            return ConfigError(
                f"{where} The provider does not serve the country or region that this machine calls from; "
                "the key may be a good one. Name an endpoint that does, such as a cloud's. "
                "Nothing is lost: `engine resume` goes on from here."
            )
        case "quota":
            return Stopped(
                f"{where} The account's money or quota is used up. Nothing is lost: add credit, then "
                "`engine resume` goes on from here."
            )
        case "not_json" | "wrong_shape":
            return ConfigError(
                f"{where} Something answers there, but not in the {format.title} format: the base URL is "
                f"everything before {format.path}, and GET <base URL>/models lists the models."
            )
        case "tls":
            return ConfigError(
                f"endpoint {endpoint.name} ({endpoint.url}): {failure}. No secure connection can be made. If "
                "the server speaks plain HTTP, its base URL begins with http://; if its certificate is its "
                f"own, name the file under endpoints.{endpoint.name}.ca_file. Nothing was sent."
            )
        case "empty" | "no_content" | "error_object":
            return ConfigError(
                f"{where} So were all {endpoint.unusable} replies so far, so no conversation will fare "
                "better. A model that reasons may need a larger max_tokens; else the server or the model's "
                "name is not what it should be. Nothing is lost: `engine resume` goes on from here."
            )
        case "broken_off":
            return ConfigError(
                f"{where} So were all {endpoint.unusable} replies so far. Set `stream: false` under "
                f"endpoints.{endpoint.name}: this server, or a proxy before it, sends no whole streams. "
                "Nothing is lost: `engine resume` goes on from here."
            )
        case _:
            return ConfigError(
                f"{where} The base URL or the model's name is wrong: the URL is everything before "
                f"{format.path}, and GET <base URL>/models lists the models."
            )
