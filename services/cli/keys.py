"""`./speechmesh keys`: makes, lists, revokes and replaces API keys."""

import sys
from typing import Annotated, Any

import typer

from services.cli.bookkeeping import AsJson, Bookkeeping, Data, run
from services.cli.command_group import command_group
from services.cli.printing import print_json, print_table
from services.edge.account_json import key_json, parse_expiry, time_json
from services.edge.account_routes import MOST_OVERLAP_HOURS

app = command_group("Make API keys, and look after those that there are.")

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Id of the account.", show_default=False)]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, not the key itself.", show_default=False)]

_COLUMNS = ("id", "name", "hint", "created_at", "expires_at", "revoked_at")


@app.command("create")
def create_command(
    account: AccountId,
    name: Annotated[str, typer.Option(help="By which its owner knows it again.")] = "key",
    expires_in_days: Annotated[int | None, typer.Option(metavar="N", help="After N days it is not taken.")] = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it ceases to be taken, in ISO 8601; never unless given.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, the only time that it can be seen."""

    async def work(books: Bookkeeping) -> dict[str, Any]:
        now = books.register.clock()
        expiry = parse_expiry({"expires_at": expires_at, "expires_in_days": expires_in_days}, now)
        new = await books.register.create_key(account, name, expires_at=expiry)
        return key_json(new.key, now, new.secret)

    _print_new(run(data, work), as_json)


@app.command("list")
def list_command(account: AccountId, data: Data = None, as_json: AsJson = False) -> None:
    """List the keys of an account, the newest first; also those that are revoked or expired."""

    async def work(books: Bookkeeping) -> list[dict[str, Any]]:
        return await books.keys(account)

    keys = run(data, work)
    if as_json:
        print_json({"keys": keys})
    else:
        print_keys(keys)


@app.command("revoke")
def revoke_command(key: KeyId, data: Data = None, as_json: AsJson = False) -> None:
    """Have a key not be taken any more, for ever; edges that run hear of it within seconds."""

    async def work(books: Bookkeeping) -> dict[str, Any]:
        return key_json(await books.register.revoke_key(key), books.register.clock())

    _print_changed(run(data, work), as_json)


@app.command("rotate")
def rotate_command(
    key: KeyId,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=MOST_OVERLAP_HOURS, metavar="N", help="How long the old one is still taken.")
    ] = 0,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key that takes the place of another one, and print it, the only time that it can be seen."""

    async def work(books: Bookkeeping) -> tuple[dict[str, Any], float | None]:
        new = await books.register.rotate_key(key, overlap_seconds=3600.0 * overlap_hours)
        old = await books.register.key(key)
        return key_json(new.key, books.register.clock(), new.secret), old.revoked_at or old.expires_at

    made, end = run(data, work)
    _print_new(made, as_json)
    if not as_json:
        when = f"until {time_json(end)}" if overlap_hours else "no more"
        print(f"The key {key} is taken {when}.", file=sys.stderr)


@app.command("rename")
def rename_command(
    key: KeyId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.", show_default=False)],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give a key another name."""

    async def work(books: Bookkeeping) -> dict[str, Any]:
        return key_json(await books.register.rename_key(key, name), books.register.clock())

    _print_changed(run(data, work), as_json)


def print_keys(keys: list[dict[str, Any]]) -> None:
    """Print keys, as the HTTP API tells them, as a table."""
    names = (name.removesuffix("_at") for name in _COLUMNS)
    print_table(list(names), [[key[column] for column in _COLUMNS] for key in keys], wrap=("name",))


def _print_new(key: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(key)
        return
    # The key alone on standard output: it can be piped to where it is kept.
    print(key["key"])
    ends = f"expires at {key['expires_at']}" if key["expires_at"] else "does not expire"
    print(f"This is the only time that the key is shown. Its id is {key['id']}, and it {ends}.", file=sys.stderr)


def _print_changed(key: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(key)
    else:
        print_keys([key])
