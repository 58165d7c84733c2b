"""The tree of errors. Each carries fields; nothing is ever parsed out of a message.

    EngineError
    |- UsageError (2)              what the user typed
    |- BadInput (65)               a file's content: which file, which line; NotBegun: a journal without rows
    |- ConfigError (78)            the configuration; IdentityChanged: it differs from the run's
    |- RunLocked (75)              another process holds the run
    |- CannotWrite (73), DiskFull (74)
    |- JournalDamaged (70)         the journal does not say what was written
    |- Stopped (75)                resumable: quota or budget used up
    |- KeyRefused (77)             401/403
    `- CallFailed                  one call that ended without a reply (recorded, never fatal)
       |- TransportFailed          no complete reply came over the wire
       |- ServerFailed             a status that is not 200
       `- ReplyUnusable            a reply that does not hold what the format promises

`exit_code` follows design.md's table. The message says what happened, where, and what to do next.
"""

from __future__ import annotations


class EngineError(Exception):
    """Root of all errors that the engine raises on purpose."""

    exit_code = 70


class UsageError(EngineError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class BadInput(EngineError):
    """A profile, job or template file holds something that cannot be used."""

    exit_code = 65


class NotBegun(BadInput):
    """A run that was stopped before its journal held anything: the same command begins it."""


class ConfigError(EngineError):
    """The configuration is wrong: the message names file, key and a suggestion."""

    exit_code = 78


class IdentityChanged(ConfigError):
    """The run was started with other content; `differences` lists (field, then, now)."""

    def __init__(self, message: str, differences: list[tuple[str, str, str]]) -> None:
        super().__init__(message)
        self.differences = differences


class RunLocked(EngineError):
    """Another process works on this run."""

    exit_code = 75


class CannotWrite(EngineError):
    """A folder or file of the run cannot be written."""

    exit_code = 73


class DiskFull(EngineError):
    """No space is left; what was acknowledged is safe, and the run resumes."""

    exit_code = 74


class JournalDamaged(EngineError):
    """A journal row fails its checksum or the database cannot be read."""

    exit_code = 70


class Stopped(EngineError):
    """The run stopped on purpose (quota, budget) and resumes later."""

    exit_code = 75


class KeyRefused(EngineError):
    """The endpoint refused the key (401 or 403)."""

    exit_code = 77


class CallFailed(EngineError):
    """One call ended without a usable reply.

    `reason` is a short stable word for records and counts. `possibly_paid` says that the request
    may have reached the server, so that its cost is unknown rather than zero.
    """

    def __init__(self, reason: str, message: str, *, possibly_paid: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.possibly_paid = possibly_paid


class TransportFailed(CallFailed):
    """No complete reply came. Reasons: connect, reset, deadline, too_large, encoding, tls, protocol.

    `no_byte_received` tells a connection that died before the first byte of a reply from one that
    broke off inside it; on a reused connection the former is the idle-close race.
    """

    def __init__(
        self, reason: str, message: str, *, possibly_paid: bool, no_byte_received: bool = True
    ) -> None:
        super().__init__(reason, message, possibly_paid=possibly_paid)
        self.no_byte_received = no_byte_received


class ServerFailed(CallFailed):
    """The server answered with a status other than 200, or with an error object."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        status: int,
        retry_after_s: float | None = None,
        possibly_paid: bool = False,
    ) -> None:
        super().__init__(reason, message, possibly_paid=possibly_paid)
        self.status = status
        self.retry_after_s = retry_after_s


class ReplyUnusable(CallFailed):
    """A 200 whose body is not what the format promises; it was paid for."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message, possibly_paid=True)
