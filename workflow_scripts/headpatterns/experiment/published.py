"""A published result: a folder with everything that the figures of an experiment need, but without models and rows.

It has a part of results/{experiment}, in the same layout: config.yaml, provenance.json and summary.md; analysis/,
figures/ and tables/; and the measured files, `MEASURED`. manifest.json has the checksum of each file. Calculations that
read only measured files are done again; the tables of all others are copied.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from headpatterns import __version__
from headpatterns.errors import InputError, first_line
from headpatterns.experiment import written
from headpatterns.experiment.study import Analysis, Effects, Study, View
from headpatterns.io import atomic_path, read_json, sha256

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

FORMAT = 1
"""Format of the folder; a reader of one format does not read others."""

MANIFEST = "manifest.json"
CONFIG = "config.yaml"

MEASURED = (
    *("patterns", "ablations", "transfer", "transplants", "trained_heads", "mixtures", "selections", "domains"),
)
"""Folders of an experiment with only numbers and names of samples: no text of a row or of an answer."""

EVERY_REDUCTION, ONE_REDUCTION, MEANS = "every-reduction", "one-reduction", "means"
KEPT = (EVERY_REDUCTION, ONE_REDUCTION, MEANS)
"""The kept patterns: those of each sample in all reductions or in that of the config, or only means over samples."""

ACCOUNTS = ("answers", "data", "tokens", "training", "timings")
"""Tables about the inputs of an experiment, which are made from its rows and runs."""

FOLDER_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Published:
    """A published folder that has been checked.

    Attributes:
        folder: its path.
        kept: one of `KEPT`.
        files: SHA-256 of each file by its path below the folder.
    """

    folder: Path
    kept: str
    files: Mapping[str, str]

    @property
    def root(self) -> str:
        """The folder for everything that is made from it."""
        return f"results/published/{self.folder.name}"

    def below(self, path: str) -> list[str]:
        """The files of the folder that belong to a path: the file itself, or all below a folder."""
        return [name for name in self.files if PurePath(name).is_relative_to(path)]


def asked(config: dict[str, Any], overlay: Mapping[str, Any]) -> Published | None:
    """The folder that `--config from=FOLDER` names, None without it; the key is removed from the config.

    Args:
        config: as Snakemake reads it.
        overlay: the part of it that comes from the command line and its files.

    Raises:
        InputError: the folder cannot be used (`opened`), or the command line sets something else as well.
    """
    named = config.pop("from", None)
    if named is None:
        return None
    if others := [key for key in overlay if key not in ("from", "to")]:
        raise InputError(
            f"from={named} takes the config of that folder, so no other key can be set: leave out {', '.join(others)}."
        )
    return opened(Path(str(named)))


def opened(folder: Path) -> Published:
    """A published folder, after a check that every file is as it was published.

    Raises:
        InputError: it is missing, is not a published folder or has another format, or a file is missing or changed.
    """
    if not folder.is_dir():
        raise InputError(f"from={folder} is not a folder: give the path of a published result.")
    check_name(folder)
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise InputError(
            f"{folder} is not a published result (it has no {MANIFEST}): publish an experiment with `snakemake "
            "export --config to=FOLDER`."
        )
    try:
        content = read_json(manifest)
        made = content["format"], content["headpatterns"]
        files, kept = dict(content.get("files", {})), str(content.get("patterns"))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{manifest} cannot be read ({first_line(error)}): {_restore(folder)}.") from None
    if made[0] != FORMAT or kept not in KEPT:
        raise InputError(
            f"{folder} has the format {made[0]} of headpatterns {made[1]}, but headpatterns {__version__} reads the "
            f"format {FORMAT}: use that version, or publish the experiment again."
        )
    for name, checksum in files.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path} is missing, although {MANIFEST} lists it: {_restore(folder)}.")
        if sha256(path) != checksum:
            raise InputError(
                f"{path} has changed since it was published (its checksum differs from {MANIFEST}): {_restore(folder)}."
            )
    return Published(folder, kept, files)


def _restore(folder: Path) -> str:
    return f"restore it (`git checkout -- {folder}`), or publish the experiment again"


def check_name(folder: Path) -> None:
    """Refuse a folder whose name cannot be part of the paths of results.

    Raises:
        InputError: the name has other characters than letters, digits, `_`, `.` and `-`.
    """
    if not FOLDER_NAME.fullmatch(folder.name):
        raise InputError(
            f"The folder '{folder}' has a name that results cannot have: rename it, using only letters, digits, "
            "'_', '.' and '-'."
        )


def check_target(target: str) -> None:
    """Refuse to publish into a folder with other contents.

    Raises:
        InputError: no folder is named, its name cannot be used, or it has files but no manifest.
    """
    if not target:
        raise InputError("`export` needs the folder to publish into: name it, as in --config to=published/NAME.")
    folder = Path(target)
    check_name(folder)
    if folder.exists() and not (folder / MANIFEST).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise InputError(f"to={target} is not empty and is not a published result: name another folder, or remove it.")


def config_of(published: Published) -> dict[str, Any]:
    """The config that the results were made with.

    Raises:
        InputError: it cannot be read.
    """
    return written.read_config(published.folder / CONFIG)


def explained(meaning: Callable[[], "Experiment"], published: Published | None) -> "Experiment":
    """The experiment that `meaning` returns; errors of a published config are reported as those of another version.

    Raises:
        InputError: the config cannot be read or run.
    """
    try:
        return meaning()
    except InputError as error:
        if not published:
            raise
        raise InputError(
            f"{published.folder}/{CONFIG} does not fit headpatterns {__version__}: use the version that "
            f"{MANIFEST} names, or publish the experiment again. {error}"
        ) from None


# The files that an experiment publishes, and results that are made from them again.


def chosen(experiment: "Experiment") -> list[Study]:
    """The studies that the config selects."""
    return [study for study in experiment.studies if study.selected(experiment)]  # type: ignore[misc]


def calculations(experiment: "Experiment") -> Iterator[Analysis | Effects]:
    """All analyses and effects of the selected studies."""
    for study in chosen(experiment):
        yield from study.analyses
        yield from study.effects


def tables_of(one: Analysis | Effects) -> list[str]:
    """The names of the tables that a calculation writes."""
    return list(one.outputs.values()) if isinstance(one, Analysis) else [f"{one.name}_effects"]


def views(experiment: "Experiment", published: Published | None = None) -> list[View]:
    """The interactive views of an experiment; for a published folder, only views whose inputs it has."""
    return [
        view for study in chosen(experiment) for view in study.views if not published or is_at_hand(experiment, view)
    ]


def read_by(experiment: "Experiment", one: Analysis | Effects | View) -> list[str]:
    """Every path that a calculation or a view reads."""
    flat = chain.from_iterable(
        [paths] if isinstance(paths, str) else paths for paths in one.inputs(experiment).values()
    )
    return list(dict.fromkeys([*flat, *one.needs(experiment)]))


def place(experiment: "Experiment", path: str) -> str:
    """The folder or file of an experiment that a path belongs to; empty for one of the workflow itself."""
    own = PurePath(path).is_relative_to(experiment.paths.root)
    return PurePath(relative(experiment, path)).parts[0] if own else ""


def is_computed(experiment: "Experiment", one: Analysis | Effects, kept: str) -> bool:
    """Whether a published folder has all that a calculation reads."""
    every = isinstance(one, Analysis) and one.reads_every_reduction
    if kept == MEANS or (every and kept != EVERY_REDUCTION):
        return False
    return is_at_hand(experiment, one)


def is_at_hand(experiment: "Experiment", one: Analysis | Effects | View) -> bool:
    """Whether the inputs of a calculation or a view are in a published folder, or are made from it."""
    at_hand = {"", "runs.csv", "variants.csv", "analysis", "tables", *MEASURED}
    return all(place(experiment, path) in at_hand for path in read_by(experiment, one))


def measured(experiment: "Experiment") -> list[str]:
    """The measured files and folders of the report, and of calculations that can be done again."""
    again = [one for one in calculations(experiment) if is_computed(experiment, one, EVERY_REDUCTION)]
    found = [
        path
        for one in (*again, *(view for view in views(experiment) if is_at_hand(experiment, view)))
        for path in read_by(experiment, one)
        if place(experiment, path) in MEASURED
    ]
    return list(dict.fromkeys([*found, *mixture_reports(experiment)]))


def mixture_reports(experiment: "Experiment") -> list[str]:
    """The files about the mixtures of each model and seed that the report shows."""
    models, seeds = experiment.settings("mixing").models, experiment.seeds("mixing")
    return [experiment.paths.mixture(model, seed, "report.json") for model in models for seed in seeds]


def accounts(experiment: "Experiment") -> list[str]:
    """Tables and provenance of the inputs of the experiment."""
    names = [*(["scores"] if experiment.evaluation_batches else []), *ACCOUNTS]
    return [*map(experiment.paths.analysis, names), f"{experiment.paths.root}/provenance.json"]


def taken(experiment: "Experiment", published: Published) -> list[str]:
    """Everything that is copied from a published folder, as paths of results.

    Raises:
        InputError: the folder lacks a part of it.
    """
    tables = [
        experiment.paths.analysis(name)
        for one in calculations(experiment)
        if not is_computed(experiment, one, published.kept)
        for name in tables_of(one)
    ]
    found = list(dict.fromkeys([*measured(experiment), *tables, *accounts(experiment)]))
    for path in found:
        if not published.below(relative(experiment, path)):
            raise InputError(
                f"{published.folder} has no {relative(experiment, path)}, which this version of the workflow "
                "reads: publish the experiment again."
            )
    return found


def relative(experiment: "Experiment", path: str) -> str:
    """A path below the folder of the experiment."""
    return str(PurePath(path).relative_to(experiment.paths.root))


def copy(published: Published, paths: Iterable[str], root: Path) -> None:
    """Copy paths of a published folder to their places below `root`, each atomically."""
    for path in paths:
        with atomic_path(root / path) as temporary:
            for name in published.below(path):
                target = temporary / PurePath(name).relative_to(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(published.folder / name, target)
