"""The admin API: accounts, credits, keys and the books of everybody, behind a token and a port of its own."""

import hmac
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from services.accounts.api_keys import digest_of
from services.accounts.audit import verify
from services.accounts.plans import FREE
from services.accounts.register import Account
from services.edge.account_json import parse_text, parse_whole
from services.edge.account_routes import Accounts
from services.edge.answers import json_response
from services.edge.metering import repeat_of
from services.runtime.errors import Fault, MeshError, invalid_field

MOST_CREDITS = 1_000_000_000
_LEAST_TOKEN_CHARACTERS = 32
_PAGE = 100
_MOST_PAGE = 1000


@dataclass(frozen=True)
class Admin:
    """The handlers.

    Args:
        accounts: what they work with.
        token_digest: SHA-256 of the token.
    """

    accounts: Accounts
    token_digest: bytes

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        account, key = "/admin/v1/accounts/{account}", "/admin/v1/keys/{key}"
        return [
            web.get("/admin/v1/accounts", self.get_accounts),
            web.post("/admin/v1/accounts", self.post_account),
            web.get(account, self.get_account),
            web.patch(account, self.patch_account),
            web.post(f"{account}/credits", self.post_credits),
            web.get(f"{account}/usage", self.get_usage),
            web.get(f"{account}/keys", self.get_keys),
            web.post(f"{account}/keys", self.post_key),
            web.patch(key, self.patch_key),
            web.post(f"{key}/rotate", self.rotate_key),
            web.delete(key, self.delete_key),
            web.get("/admin/v1/ledger", self.get_ledger),
        ]

    async def get_accounts(self, request: web.Request) -> web.Response:
        """List accounts, a page at a time."""
        self._require_token(request)
        limit = parse_whole(request.query.get("limit"), "limit", _PAGE, _MOST_PAGE)
        found = await self.accounts.register.accounts(parse_text(dict(request.query), "after", ""), limit)
        body = {"accounts": [await self.accounts.account(account) for account in found]}
        return json_response({**body, "next": found[-1].id if len(found) == limit else None})

    async def post_account(self, request: web.Request) -> web.Response:
        """Make an account."""
        self._require_token(request)
        fields = await self.accounts.body(request, "name", "plan")
        plan = self.accounts.plans.choose(parse_text(fields, "plan", FREE))
        account = await self.accounts.register.create_account(parse_text(fields, "name"), plan.id)
        return json_response(await self.accounts.account(account), status=201)

    async def get_account(self, request: web.Request) -> web.Response:
        """Tell about an account."""
        return json_response(await self.accounts.account(await self._account(request)))

    async def patch_account(self, request: web.Request) -> web.Response:
        """Change an account's name or plan, close it, or open it again."""
        account = await self._account(request)
        fields = await self.accounts.body(request, "name", "plan", "closed")
        if not isinstance(fields.get("closed", False), bool):
            raise invalid_field("closed", "The field 'closed' must be true or false.")
        changed = await self.accounts.register.change_account(
            account.id,
            name=parse_text(fields, "name") if "name" in fields else None,
            plan=self.accounts.plans.choose(parse_text(fields, "plan")).id if "plan" in fields else None,
            closed=fields.get("closed"),
        )
        self.accounts.identity.forget(account.id)
        return json_response(await self.accounts.account(changed))

    async def post_credits(self, request: web.Request) -> web.Response:
        """Give credits, or take some back."""
        account = await self._account(request)
        fields = await self.accounts.body(request, "amount", "note")
        repeat = repeat_of(request)
        amount = fields.get("amount")
        if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < abs(amount) <= MOST_CREDITS:
            raise invalid_field("amount", f"The field 'amount' must be a whole number up to {MOST_CREDITS}, and not 0.")
        if amount > 0:
            self.accounts.plans.get(account.plan).require_credits()
        reference = None if repeat is None else repeat.hex()
        await self.accounts.ledger.grant(account.id, amount, parse_text(fields, "note", ""), reference)
        return json_response(await self.accounts.account(account))

    async def get_usage(self, request: web.Request) -> web.Response:
        """Tell what an account used."""
        account = await self._account(request)
        return json_response(await self.accounts.usage(request.query, account.id))

    async def get_keys(self, request: web.Request) -> web.Response:
        """List an account's keys."""
        return json_response(await self.accounts.keys((await self._account(request)).id))

    async def post_key(self, request: web.Request) -> web.Response:
        """Make a key for an account."""
        return await self.accounts.create_key(request, (await self._account(request)).id)

    async def patch_key(self, request: web.Request) -> web.Response:
        """Rename a key."""
        return await self.accounts.rename_key(request, await self._key(request))

    async def rotate_key(self, request: web.Request) -> web.Response:
        """Put a new key in the place of another one."""
        return await self.accounts.rotate_key(request, await self._key(request))

    async def delete_key(self, request: web.Request) -> web.Response:
        """Revoke a key."""
        return await self.accounts.revoke_key(await self._key(request))

    async def get_ledger(self, request: web.Request) -> web.Response:
        """Prove the books."""
        self._require_token(request)
        audit = await verify(self.accounts.store, self.accounts.ledger.clock())
        return json_response(audit.as_json())

    async def _account(self, request: web.Request) -> Account:
        self._require_token(request)
        return await self.accounts.register.account(request.match_info["account"])

    async def _key(self, request: web.Request) -> str:
        self._require_token(request)
        return (await self.accounts.register.key(request.match_info["key"])).id

    def _require_token(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(digest_of(token.strip()), self.token_digest):
            raise MeshError(Fault.UNAUTHENTICATED, "The admin token is wrong or missing.", code="invalid_admin_token")


def read_token(path: Path) -> bytes:
    """Return the SHA-256 of the token in a file.

    Raises:
        MeshError: INVALID when it cannot be read, or is too short to be a secret.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise MeshError(
            Fault.INVALID, f"The admin token in {path} cannot be read.", field="admin_token_file"
        ) from error
    if len(token) < _LEAST_TOKEN_CHARACTERS or not token.isprintable() or " " in token:
        raise MeshError(
            Fault.INVALID,
            f"The admin token in {path} must be {_LEAST_TOKEN_CHARACTERS} characters at least, without spaces.",
            field="admin_token_file",
        )
    return digest_of(token)
