"""Names of all files and folders of a workdir, an output and a store as a whole; those of a run are in `layout`.

Names only, as there.
"""

from __future__ import annotations

from dataclasses import dataclass

from uniner_dist.storage.filesystem import join
from uniner_dist.storage.hive import folder_name

#: Folder of an output with its marker; most readers of Parquet datasets skip names that begin with a dot.
MARKER_FOLDER = ".uniner_dist"
#: Name of the marker in the partition folders of null below it.
MARKER_FILE = "marker.parquet"
#: The marker of a dataset without folders, whose files are exchanged as one folder.
FLAT_MARKER = ".uniner_dist.parquet"
#: The marker that earlier releases wrote.
EARLIER_MARKER = ".uniner_dist.json"
#: Entries of an output that are no data.
MARKERS = frozenset({MARKER_FOLDER, FLAT_MARKER, EARLIER_MARKER})


def is_unfinished_marker(name: str) -> bool:
    """Return whether a file of an output was left by a process that was killed while it wrote the marker.

    Args:
        name: name of the file, without folders.
    """
    return name.endswith(".tmp") and name.startswith(
        tuple(f".{it}." for it in (MARKER_FILE, FLAT_MARKER, EARLIER_MARKER))
    )


@dataclass(frozen=True)
class WorkdirLayout:
    """A workdir as a whole: its lease is held to change all of its runs, while no process works on one."""

    workdir: str

    @property
    def title(self) -> str:
        """Name of the workdir in messages."""
        return f"workdir {self.workdir}"

    @property
    def lease_folder(self) -> str:
        """The lease of all runs together."""
        return join(self.workdir, "holders")

    @property
    def runs(self) -> str:
        """One folder per run."""
        return join(self.workdir, "runs")

    @property
    def latest(self) -> str:
        """Which run was opened last, JSON."""
        return join(self.workdir, "latest.json")

    @property
    def storage(self) -> str:
        """Guarantees that the storages of this workdir were found to give, JSON."""
        return join(self.workdir, "storage.json")

    @property
    def erasures(self) -> str:
        """Unfinished erasures, one JSON each."""
        return join(self.workdir, "forgetting")

    def erasure(self, name: str) -> str:
        """Return the path of the file that exists from the beginning of an erasure to its end.

        Args:
            name: the erasure's own name, a hash of the documents that are erased.
        """
        return join(self.erasures, f"{name}.json")

    @property
    def erased(self) -> str:
        """The list of documents that were erased and stay away, see `storage.erased`."""
        return join(self.workdir, "erased")

    @property
    def stores(self) -> str:
        """Every store that a run of this workdir ever used, one JSON each."""
        return join(self.workdir, "stores")

    @property
    def rewritten(self) -> str:
        """Files of outputs without the rows of erased documents, and the journals of that, while it is done."""
        return join(self.workdir, "forgetting-files")

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders that must not be links; the workdir itself and its store may be."""
        return (self.lease_folder, self.runs, self.erasures, self.erased, self.stores, self.rewritten)


@dataclass(frozen=True)
class OutputLayout:
    """Paths of an output: the marker in it, and everything else next to it, where no reader looks."""

    output: str

    @property
    def title(self) -> str:
        """Name of the output in messages."""
        return f"output {self.output}"

    @property
    def markers(self) -> str:
        """The folder of the marker."""
        return join(self.output, MARKER_FOLDER)

    def marker(self, partition_by: tuple[str, ...]) -> str:
        """Return the path of the marker: what dataset it is and which runs are in it, see `storage.marker_file`.

        Args:
            partition_by: folder columns of the output, from the outermost; with none it is `flat_marker`.
        """
        if not partition_by:
            return self.flat_marker
        return join(self.markers, *(folder_name(column, "") for column in partition_by), MARKER_FILE)

    @property
    def flat_marker(self) -> str:
        """The marker of an output without folder columns."""
        return join(self.output, FLAT_MARKER)

    @property
    def earlier_marker(self) -> str:
        """The marker that earlier releases wrote, JSON."""
        return join(self.output, EARLIER_MARKER)

    @property
    def lease_folder(self) -> str:
        """The lease of those who change the output."""
        return join(self._sibling("lease"), "holders")

    @property
    def sample(self) -> str:
        """The pinned sample of the quality gate of the output, JSON."""
        return join(self._sibling("gate"), "sample.json")

    @property
    def card(self) -> str:
        """The dataset card of the output."""
        return join(self._sibling("card"), "README.md")

    @property
    def exports(self) -> str:
        """Every folder that its rows were exported to, one JSON each."""
        return self._sibling("exports")

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders that must not be links; the output itself may be one."""
        return (
            self.markers,
            *(self._sibling(ending) for ending in ("lease", "gate", "card")),
            self.exports,
            self.lease_folder,
        )

    def work_folder(self, token: str) -> str:
        """Return the folder in which the new content of one folder is built: next to the output, usually on its device.

        Args:
            token: `<run id>-<fencing token of the output's lease>`, so that each lease has folders of its
                own; empty for what the names of all such folders begin with.
        """
        return self._sibling(f"publishing-{token}")

    def _sibling(self, ending: str) -> str:
        return f"{self.output.rstrip('/')}.{ending}"


@dataclass(frozen=True)
class StoreLayout:
    """Paths of the answers that one fingerprint has in a store: `<store>/<fingerprint>/…`."""

    store: str
    fingerprint: str

    @property
    def title(self) -> str:
        """Name of the part of the store in messages."""
        return f"store {self.root}"

    @property
    def root(self) -> str:
        """Folder of the fingerprint."""
        return join(self.store, self.fingerprint)

    @property
    def cells(self) -> str:
        """Files of answers: small ones, one per shard of a run, and compacted ones."""
        return join(self.root, "cells")

    @property
    def manifests(self) -> str:
        """What compactions added and replaced, one JSON each."""
        return join(self.root, "manifests")

    @property
    def lease_folder(self) -> str:
        """The lease of who changes this part of the store other than by adding to it."""
        return join(self.root, "holders")

    @property
    def erased(self) -> str:
        """The list of documents that were erased and stay away, for all fingerprints."""
        return join(self.store, "_erased")

    @property
    def workdirs(self) -> str:
        """Every workdir whose runs ever used the store, one JSON each."""
        return join(self.store, "_workdirs")

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders that must not be links; the store itself may be one."""
        return (self.root, self.cells, self.manifests, self.lease_folder, self.erased, self.workdirs)
