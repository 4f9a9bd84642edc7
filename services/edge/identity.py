"""Who calls: the account behind an API key, or the network of a caller without one."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web

from services.accounts.api_keys import digest_of
from services.accounts.plans import ANONYMOUS, Plan, Plans
from services.accounts.register import Account, Found, Register
from services.edge.addresses import Network, client_address, network_of
from services.runtime.errors import Fault, MeshError

CACHE_SECONDS = 3.0
"""How long a key is not looked up again; a revocation passes after it, at the latest."""

_MOST_CACHED = 10_000


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    holder: str
    """Who pays: the account, or `ip:` and a digest of the network. Other services know the caller by it."""
    plan: Plan
    key_id: str | None = None
    """None for an anonymous caller."""
    account: Account | None = None


class Identity:
    """Finds out who calls.

    Args:
        register: of accounts and keys.
        plans: what each allows.
        address_secret: what addresses are hashed with.
        allow_anonymous: whether a request without a key is served.
        trusted_proxies: networks whose word on the client's address is taken.
    """

    def __init__(
        self,
        register: Register,
        plans: Plans,
        *,
        address_secret: bytes,
        allow_anonymous: bool,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self._register = register
        self._plans = plans
        self._address_secret = address_secret
        self._allow_anonymous = allow_anonymous
        self._trusted = trusted_proxies
        # With the time at which each was looked up, the oldest first.
        self._cache: OrderedDict[bytes, tuple[float, Found]] = OrderedDict()
        self._changes = 0

    async def identify(self, request: web.Request, token: str | None = None) -> Caller:
        """Return who sent `request`, by its Authorization header, or by `token` where it has none.

        Raises:
            MeshError: UNAUTHENTICATED when the header is malformed, or its key unknown, revoked or expired; a bad key
                is never taken for no key. UNAVAILABLE when keys cannot be looked up now.
        """
        headers = request.headers.getall("Authorization", [])
        if len(headers) > 1:
            raise _refused("There are two Authorization headers; send one.")
        authorization = headers[0] if headers else (None if token is None else f"Bearer {token}")
        caller = self._anonymous(request) if authorization is None else await self._by_key(authorization)
        structlog.contextvars.bind_contextvars(key=caller.key_id or "anonymous")
        return caller

    def forget(self, account_id: str) -> None:
        """Look the keys of an account up again at their next use: something was changed here."""
        self._changes += 1
        for digest in [digest for digest, (_, found) in self._cache.items() if found.account.id == account_id]:
            del self._cache[digest]

    def address_holder(self, request: web.Request, kind: str = "ip") -> str:
        """Return what stands for the network a request comes from; with a secret, for addresses can be tried."""
        address = client_address(
            request.remote,
            request.headers.getall("X-Forwarded-For", []),
            request.headers.getall("Forwarded", []),
            self._trusted,
        )
        # A caller without an address is on this very machine, on a socket of its file system.
        network = "local" if address is None else str(network_of(address))
        return f"{kind}:{hmac.new(self._address_secret, network.encode(), 'sha256').hexdigest()[:32]}"

    def _anonymous(self, request: web.Request) -> Caller:
        if not self._allow_anonymous:
            raise _refused("An API key is needed: send the header 'Authorization: Bearer KEY'.")
        return Caller(self.address_holder(request), self._plans.get(ANONYMOUS))

    async def _by_key(self, authorization: str) -> Caller:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise _refused("The Authorization header must read 'Bearer KEY'.")
        found = await self._find(digest_of(key.strip()))
        if found is None:
            raise _refused("The API key is not known here.")
        # By the clock, not as of when it was looked up: a key expires on time.
        refusal = found.refusal(self._register.clock())
        if refusal is not None:
            raise _refused(f"The API key {refusal}.")
        return Caller(found.account.id, self._plans.get(found.account.plan), found.key.id, found.account)

    async def _find(self, digest: bytes) -> Found | None:
        now = time.monotonic()
        cached = self._cache.get(digest)
        if cached is not None and now - cached[0] < CACHE_SECONDS:
            return cached[1]
        changes = self._changes
        found = await self._register.find(digest)
        # Not keys that nobody has: whoever tries many would have the others forgotten. Nor what may have been so only
        # before a change.
        if found is None or changes != self._changes:
            return found
        self._cache[digest] = (now, found)
        self._cache.move_to_end(digest)
        while len(self._cache) > _MOST_CACHED:
            self._cache.popitem(last=False)
        return found


def _refused(message: str) -> MeshError:
    return MeshError(Fault.UNAUTHENTICATED, message, code="invalid_api_key")
