"""The routes of an account's owner: what he has, what he used, his keys; and how he becomes one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.accounts import usage
from services.accounts.claims import Claim, Outcome, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.plans import FREE, SIGN_UP, Plans
from services.accounts.register import Account, NewKey, Register
from services.accounts.store import Store
from services.edge.account_json import (
    account_json,
    day_usage_json,
    key_json,
    parse_expiry,
    parse_text,
    parse_time,
    parse_whole,
    request_usage_json,
)
from services.edge.answers import REQUEST_ID, json_response
from services.edge.body import receive_object
from services.edge.identity import Identity
from services.edge.metering import Metering
from services.runtime.errors import Fault, MeshError, invalid_field

MOST_BODY_BYTES = 64 * 1024
MOST_OVERLAP_HOURS = 168
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Accounts:
    """What the routes of accounts work with; the admin's as well."""

    store: Store
    register: Register
    ledger: Ledger
    plans: Plans
    identity: Identity
    stall_seconds: float

    async def account(self, account: Account) -> dict[str, Any]:
        """Return an account as JSON, with its standing."""
        return account_json(account, await self.ledger.standing(account.id, self.plans.get(account.plan)))

    async def keys(self, account_id: str) -> dict[str, Any]:
        """Return the keys of an account as JSON."""
        keys = await self.register.keys(account_id)
        return {"keys": [key_json(key, self.register.clock()) for key in keys]}

    async def create_key(self, request: web.Request, account_id: str) -> web.Response:
        """Make a key as the body of `request` says, and answer with it."""
        fields = await self.body(request, "name", "expires_at", "expires_in_days")
        new = await self.register.create_key(
            account_id,
            parse_text(fields, "name", "key"),
            expires_at=parse_expiry(fields, self.register.clock()),
        )
        return json_response(key_json(new.key, self.register.clock(), new.secret), status=201)

    async def rename_key(self, request: web.Request, key_id: str) -> web.Response:
        """Give a key the name that the body of `request` says."""
        fields = await self.body(request, "name")
        key = await self.register.rename_key(key_id, parse_text(fields, "name"))
        return json_response(key_json(key, self.register.clock()))

    async def rotate_key(self, request: web.Request, key_id: str) -> web.Response:
        """Put a new key in the place of another one, and answer with it."""
        hours = (await self.body(request, "overlap_hours")).get("overlap_hours", 0)
        if isinstance(hours, bool) or not isinstance(hours, int) or not 0 <= hours <= MOST_OVERLAP_HOURS:
            message = f"The field 'overlap_hours' must be a whole number from 0 to {MOST_OVERLAP_HOURS}."
            raise invalid_field("overlap_hours", message)
        new = await self.register.rotate_key(key_id, overlap_seconds=3600.0 * hours)
        self.identity.forget(new.key.account_id)
        return json_response(key_json(new.key, self.register.clock(), new.secret), status=201)

    async def revoke_key(self, key_id: str) -> web.Response:
        """Have a key not be taken any more."""
        key = await self.register.revoke_key(key_id)
        self.identity.forget(key.account_id)
        return json_response(key_json(key, self.register.clock()))

    async def usage(self, query: Mapping[str, str], holder: str) -> dict[str, Any]:
        """Return what a holder used, as the query of a request asks for it."""
        for name in query:
            if name not in ("from", "until", "limit"):
                raise invalid_field(name[:64], f"There is no parameter {name[:64]!r}; there are: from, until, limit.")
        until = parse_time("until", query["until"]) if "until" in query else self.register.clock() + 1
        since = parse_time("from", query["from"]) if "from" in query else until - 30 * _DAY_SECONDS
        if not 0 <= until - since <= usage.MOST_DAYS * _DAY_SECONDS:
            raise invalid_field("from", f"From 'from' to 'until' are up to {usage.MOST_DAYS} days.")
        limit = parse_whole(query.get("limit"), "limit", 100, usage.MOST_REQUESTS)
        days = await usage.by_day(self.store, holder, since=since, until=until)
        requests = await usage.by_request(self.store, holder, since=since, until=until, limit=limit)
        return {
            "days": [day_usage_json(day) for day in days],
            "requests": [request_usage_json(request) for request in requests],
        }

    async def body(self, request: web.Request, *fields: str) -> dict[str, Any]:
        """Return the JSON object that a request carries, with these fields at most."""
        return await receive_object(request, fields, MOST_BODY_BYTES, self.stall_seconds)


@dataclass(frozen=True)
class AccountRoutes:
    """The handlers.

    Args:
        accounts: what they work with.
        metering: sees a sign-up to its end.
        allow_sign_up: whether anybody may make an account.
    """

    accounts: Accounts
    metering: Metering
    allow_sign_up: bool

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/v1/account", self.post_account),
            web.get("/v1/account", self.get_account),
            web.get("/v1/usage", self.get_usage),
            web.get("/v1/keys", self.get_keys),
            web.post("/v1/keys", self.post_key),
            web.patch("/v1/keys/{key}", self.patch_key),
            web.post("/v1/keys/{key}/rotate", self.rotate_key),
            web.delete("/v1/keys/{key}", self.delete_key),
        ]

    async def post_account(self, request: web.Request) -> web.Response:
        """Sign up: make an account of the free plan, and its first key."""
        if not self.allow_sign_up:
            raise MeshError(
                Fault.NOT_FOUND, "Nobody can sign up here; ask who runs this server.", code="sign_up_is_off"
            )
        fields = await self.accounts.body(request, "name")
        name = parse_text(fields, "name")
        ledger, register = self.accounts.ledger, self.accounts.register
        holder = self.accounts.identity.address_holder(request, "sign-up")
        plan = self.accounts.plans.get(SIGN_UP)

        async def sign_up() -> tuple[Account, NewKey]:
            place = await ledger.open(Claim(holder, plan, Work.SIGN_UP, request[REQUEST_ID]))
            assert isinstance(place, Reservation)
            try:
                await ledger.settle(place, seconds=1.0, model=None)
                signed_up = await register.sign_up(name, FREE)
            except BaseException:
                await ledger.give_back(place, Outcome.FAILED)
                raise
            await ledger.deliver(place)
            return signed_up

        # To its end, also for who leaves: half of it is worth nothing to anybody.
        account, new = await self.metering.surely(sign_up())
        body = {**await self.accounts.account(account), "key": key_json(new.key, register.clock(), new.secret)}
        return json_response(body, status=201)

    async def get_account(self, request: web.Request) -> web.Response:
        """Tell who calls, and what is left."""
        caller = await self.accounts.identity.identify(request)
        standing = await self.accounts.ledger.standing(caller.holder, caller.plan)
        return json_response(account_json(caller.account, standing))

    async def get_usage(self, request: web.Request) -> web.Response:
        """Tell what was used, by day and by request."""
        account = await self._owner(request)
        return json_response(await self.accounts.usage(request.query, account.id))

    async def get_keys(self, request: web.Request) -> web.Response:
        """List the keys."""
        return json_response(await self.accounts.keys((await self._owner(request)).id))

    async def post_key(self, request: web.Request) -> web.Response:
        """Make a key."""
        return await self.accounts.create_key(request, (await self._owner(request)).id)

    async def patch_key(self, request: web.Request) -> web.Response:
        """Rename a key."""
        return await self.accounts.rename_key(request, await self._own_key(request))

    async def rotate_key(self, request: web.Request) -> web.Response:
        """Put a new key in the place of another one."""
        return await self.accounts.rotate_key(request, await self._own_key(request))

    async def delete_key(self, request: web.Request) -> web.Response:
        """Revoke a key."""
        return await self.accounts.revoke_key(await self._own_key(request))

    async def _own_key(self, request: web.Request) -> str:
        account = await self._owner(request)
        return (await self.accounts.register.key(request.match_info["key"], account.id)).id

    async def _owner(self, request: web.Request) -> Account:
        caller = await self.accounts.identity.identify(request)
        if caller.account is None:
            raise MeshError(
                Fault.UNAUTHENTICATED,
                "This needs an API key: send the header 'Authorization: Bearer KEY'.",
                code="invalid_api_key",
            )
        return caller.account
