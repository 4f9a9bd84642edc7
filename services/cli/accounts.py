"""`./speechmesh accounts`: makes accounts, looks after them, and tells what they have and use."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from services.accounts.ledger import MOST_REFERENCE
from services.accounts.plans import FREE, Unit
from services.accounts.register import Account
from services.accounts.usage import MOST_REQUESTS, by_day, by_request
from services.cli.bookkeeping import AsJson, Bookkeeping, Data, run
from services.cli.command_group import command_group
from services.cli.keys import print_keys
from services.cli.printing import print_facts, print_json, print_table
from services.edge.account_json import day_usage_json, parse_time, request_usage_json, time_json
from services.edge.admin import MOST_CREDITS

app = command_group("Make accounts, look after them, and see what they have and use.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the account.", show_default=False)]

_USUAL_DAYS = 30


@app.command("create")
def create_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is.", show_default=False)],
    plan: Annotated[str, typer.Option(help="What it is allowed: free, paid, unlimited, or a plan of your own.")] = FREE,
    credits_: Annotated[
        int | None, typer.Option("--credits", min=1, max=MOST_CREDITS, metavar="N", help="Credits to begin with.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an account. It has no key yet: `./speechmesh keys create` makes one."""

    async def work(books: Bookkeeping) -> dict[str, Any]:
        chosen = books.plans.choose(plan)
        if credits_ is not None:
            chosen.require_credits()
        account = await books.register.create_account(name, chosen.id)
        if credits_ is not None:
            await books.ledger.grant(account.id, credits_, "")
        return await books.account(account)

    _print_account(run(data, work), as_json)


@app.command("list")
def list_command(data: Data = None, as_json: AsJson = False) -> None:
    """List all accounts."""

    async def work(books: Bookkeeping) -> tuple[Sequence[Account], Sequence[dict[str, Any]]]:
        found = await _all_accounts(books)
        # Only where it is asked for: a plan that is gone must not hide the accounts that have it.
        return found, [await books.account(account) for account in found] if as_json else []

    found, told = run(data, work)
    if as_json:
        print_json({"accounts": told})
        return
    print_table(
        ("id", "name", "plan", "created", "closed"),
        [
            (account.id, account.name, account.plan, time_json(account.created_at), time_json(account.closed_at))
            for account in found
        ],
        wrap=("name",),
    )


@app.command("show")
def show_command(account_id: Id, data: Data = None, as_json: AsJson = False) -> None:
    """Show an account: what is left of its plan, what it runs, and its keys."""

    async def work(books: Bookkeeping) -> dict[str, Any]:
        account = await books.register.account(account_id)
        return {**await books.account(account), "keys": await books.keys(account.id)}

    _print_account(run(data, work), as_json)


@app.command("change")
def change_command(
    account_id: Id,
    name: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    plan: Annotated[str | None, typer.Option(help="Its new plan.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give an account another name or another plan. What was used stays used."""
    if name is None and plan is None:
        raise typer.BadParameter("give one of them, or both", param_hint="--name, --plan")

    async def work(books: Bookkeeping) -> dict[str, Any]:
        account = await books.register.account(account_id)
        chosen = books.plan(account) if plan is None else books.plans.choose(plan)
        return await books.account(await books.register.change_account(account.id, name=name, plan=chosen.id))

    _print_account(run(data, work), as_json)


@app.command("close")
def close_command(account_id: Id, data: Data = None, as_json: AsJson = False) -> None:
    """Have the keys of an account not be taken any more, until it is opened again; nothing of it is deleted."""
    _print_account(run(data, lambda books: _set_closed(books, account_id, closed=True)), as_json)


@app.command("reopen")
def reopen_command(account_id: Id, data: Data = None, as_json: AsJson = False) -> None:
    """Open an account again that was closed."""
    _print_account(run(data, lambda books: _set_closed(books, account_id, closed=False)), as_json)


# An amount below zero looks like an option.
@app.command("credit", context_settings={"ignore_unknown_options": True})
def credit_command(
    account_id: Id,
    amount: Annotated[
        int,
        typer.Argument(
            metavar="AMOUNT",
            min=-MOST_CREDITS,
            max=MOST_CREDITS,
            help="Credits, one for each minute of audio; below zero, such as -5, they are taken back.",
            show_default=False,
        ),
    ],
    note: Annotated[str, typer.Option(help="What for; it is kept with the entry.")] = "",
    reference: Annotated[
        str | None, typer.Option(help="Such as a payment's number: what has the same one is done once.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give an account credits, or take some back that were not used."""
    if amount == 0:
        raise typer.BadParameter("it must not be 0", param_hint="AMOUNT")
    if reference is not None and not 1 <= len(reference) <= MOST_REFERENCE:
        raise typer.BadParameter(f"it must have 1 to {MOST_REFERENCE} characters", param_hint="--reference")

    async def work(books: Bookkeeping) -> dict[str, Any]:
        account = await books.register.account(account_id)
        plan = books.plan(account)
        if amount > 0:
            plan.require_credits()
        await books.ledger.grant(account.id, amount, note, reference)
        return await books.account(account)

    _print_account(run(data, work), as_json)


@app.command("usage")
def usage_command(
    account_id: Id,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help=f"In ISO 8601; {_USUAL_DAYS} days before the end unless given."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="In ISO 8601; now unless given.")] = None,
    requests: Annotated[
        bool, typer.Option("--requests", help=f"Tell each request, the newest {MOST_REQUESTS}, not each day.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Tell what an account has used: on each day in UTC, or request by request."""

    async def work(books: Bookkeeping) -> list[dict[str, Any]]:
        account = await books.register.account(account_id)
        end = books.register.clock() + 1 if until is None else parse_time("until", until)
        start = end - _USUAL_DAYS * 86_400 if since is None else parse_time("from", since)
        if not requests:
            return [day_usage_json(day) for day in await by_day(books.store, account.id, since=start, until=end)]
        found = await by_request(books.store, account.id, since=start, until=end, limit=MOST_REQUESTS)
        return [request_usage_json(request) for request in found]

    used = run(data, work)
    if as_json:
        print_json({"requests" if requests else "days": used})
    elif requests:
        _print_requests(used)
    else:
        columns = ("day", "requests", "seconds", "charged")
        print_table(columns, [[day[column] for column in columns] for day in used], right=columns[1:])


async def _all_accounts(books: Bookkeeping) -> Sequence[Account]:
    found = list[Account]()
    while page := await books.register.accounts(found[-1].id if found else ""):
        found += page
    return found


async def _set_closed(books: Bookkeeping, account_id: str, *, closed: bool) -> dict[str, Any]:
    account = await books.register.account(account_id)
    # First, so that nothing is done where what was done cannot be told.
    books.plan(account)
    return await books.account(await books.register.change_account(account.id, closed=closed))


def _print_account(account: dict[str, Any], as_json: bool) -> None:
    """Print an account, as the HTTP API tells it, and its keys if it has them with it."""
    if as_json:
        print_json(account)
        return
    facts = {name: account[name] for name in ("id", "name", "plan")}
    facts["left"] = _left(account)
    if account["period_end"]:
        facts["period end"] = account["period_end"]
    facts |= {"running": account["running"], "created": account["created_at"]}
    if account["closed_at"]:
        facts["closed"] = account["closed_at"]
    print_facts(facts)
    if account.get("keys"):
        print()
        print_keys(account["keys"])


def _left(account: dict[str, Any]) -> str:
    for field, noun in (("credits", "credits"), ("minutes_left", "minutes"), ("transcriptions_left", "transcriptions")):
        if account[field] is not None:
            return f"{account[field]} {noun}"
    return "no limit"


def _print_requests(requests: Sequence[dict[str, Any]]) -> None:
    print_table(
        ("started", "work", "request", "model", "seconds", "charged", "outcome"),
        [
            (
                request["started_at"],
                request["work"],
                request["request_id"],
                request["model"],
                request["seconds"],
                # Under the name of its unit, which an account's plan may have changed.
                next(f"{request[unit]} {unit}" for unit in Unit if unit in request),
                request["outcome"],
            )
            for request in requests
        ],
        right=("seconds", "charged"),
        wrap=("request", "model"),
    )
