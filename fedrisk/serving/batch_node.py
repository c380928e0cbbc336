"""A list that is scored by a bank's node: one service for each question that is on its way, over one table."""

from fedrisk.clients.node import Node
from fedrisk.serving.asking import Asking
from fedrisk.serving.bank import FOLDER, BankService
from fedrisk.serving.batch import PATIENCE, SECONDS, KeptAsking, Order, run
from fedrisk.serving.batch_folder import BatchFolder
from fedrisk.serving.batch_table import Summary
from fedrisk.serving.current import CurrentData
from fedrisk.serving.relay import Relay


def run_at(
    node: Node, order: Order, folder: BatchFolder, relay: Relay | None, *, patience: float = PATIENCE
) -> Summary:
    """Score a list at this bank, as `batch.run` does; relay: through which members are asked."""
    table = CurrentData.open(node.institution, node.store.path / FOLDER)

    def service(asking: KeptAsking | None) -> BankService:
        return BankService(node, None, asking=asking, table=table, seconds=SECONDS, remember=False)

    return run(order, folder, None if relay is None else Asking(node, relay), service, patience=patience)
