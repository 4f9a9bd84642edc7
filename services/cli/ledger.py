"""`./speechmesh ledger`: proves the books."""

import typer

from services.accounts.audit import Audit, verify
from services.cli.bookkeeping import AsJson, Bookkeeping, Data, run
from services.cli.command_group import command_group
from services.cli.printing import print_json

app = command_group("Look at the ledger, in which every use is booked.")


@app.callback()
def _group() -> None:
    # A group of one command would swallow its name without this.
    pass


@app.command("verify")
def verify_command(data: Data = None, as_json: AsJson = False) -> None:
    """Prove that the books are right, also while they are in use. Exit status 1 if they are not.

    First ends what killed edges have left and no other edge has ended yet.
    """

    async def work(books: Bookkeeping) -> Audit:
        await books.ledger.reap()
        return await verify(books.store, books.ledger.clock())

    audit = run(data, work)
    if as_json:
        print_json(audit.as_json())
    else:
        print(
            f"Looked at {audit.purses} purses, {audit.entries} entries and {audit.running} running requests; "
            f"{audit.spent} spent in all."
        )
        print("\n".join(audit.faults) or "The books are right.")
    if audit.faults:
        raise typer.Exit(1)
