"""What a study is: its settings, the runs it needs, and the numbers, effects, figures, tables and section it makes.

Each folder below `headpatterns/studies` describes one study as a `Study`, and `headpatterns.studies` finds it there.
The rules, the report and the documentation of the config are made from these descriptions.

Code that computes or draws is named as text, `module:function`, and imported by `load` when a job asks for it: reading
a config imports neither numpy nor matplotlib.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headpatterns.processes import memory

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.fields import Section
    from headpatterns.experiment.runs import Run

Paths = Mapping[str, "str | list[str]"]
"""Files by the keyword of the function that reads them: one path, or a list of paths."""


def nothing(experiment: "Experiment") -> list[Any]:
    """What a study adds that has none of a kind."""
    return []


def no_settings(experiment: "Experiment") -> dict[str, Any]:
    """The settings of what needs none."""
    return {}


def always(experiment: "Experiment") -> bool:
    """The answer of a study that every experiment has."""
    return True


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Numbers: the rule `analyse_{name}`, which writes CSV files below analysis/.

    Attributes:
        name: what follows `analyse_`.
        compute: `module:function`, called with `inputs` and `settings` as keywords; it returns a table for each output.
        inputs: files that the function reads, by keyword.
        outputs: names of the CSV files, without `.csv`, by the key of the table that the function returns.
        settings: numbers and names from the config, by keyword.
        needs: further paths that must exist first, such as the pattern folders that runs.csv names.
        reads_every_reduction: whether it reads patterns in the reductions of `patterns.also` as well.
    """

    name: str
    compute: str
    inputs: Callable[["Experiment"], Paths]
    outputs: Mapping[str, str]
    settings: Callable[["Experiment"], dict[str, Any]] = no_settings
    needs: Callable[["Experiment"], list[str]] = nothing
    reads_every_reduction: bool = False


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Figures: the rule `draw_{name}`, which writes each as PDF, SVG and PNG below figures/.

    Attributes:
        name: what follows `draw_`.
        draw: `module:function`, called with `inputs` and `settings` as keywords; it returns a matplotlib figure for
            each name in `figures`.
        inputs: files that the function reads, by keyword.
        figures: file names without suffix; each has a caption of its name in the study's folder.
        settings: labels and names from the config, by keyword.
        in_report: whether the report shows each figure in a section of its own; not where the study's section has it.
        selected: whether the config asks for the figures; without, neither a target nor the report needs them.
    """

    name: str
    draw: str
    inputs: Callable[["Experiment"], Paths]
    figures: tuple[str, ...]
    settings: Callable[["Experiment"], dict[str, Any]] = no_settings
    in_report: bool = True
    selected: Callable[["Experiment"], bool] = always


@dataclass(frozen=True, kw_only=True)
class Tabulation:
    """A table for readers: the rule `write_{name}`, which writes CSV, Markdown and LaTeX below tables/.

    Attributes:
        name: what follows `write_`, and the file name without suffix; a caption in the study's folder has it too.
        tabulate: `module:function`, called with `inputs` as keywords; it returns the whole table and its grids.
        inputs: files that the function reads, by keyword.
    """

    name: str
    tabulate: str
    inputs: Callable[["Experiment"], Paths]


@dataclass(frozen=True, kw_only=True)
class View:
    """An interactive view, a part of the report's page: the rule `render_report` makes it, and no file of its own.

    Attributes:
        name: its section is `view-{name}`, and its caption in the study's folder is `view_{name}.rst`.
        show: `module:function`, called with `inputs` and `settings` as keywords; it returns an `Interactive`.
        inputs: files that the function reads, by keyword.
        settings: numbers and names from the config, by keyword.
        needs: further paths that must exist first, such as the pattern folders that runs.csv names.
    """

    name: str
    show: str
    inputs: Callable[["Experiment"], Paths]
    settings: Callable[["Experiment"], dict[str, Any]] = no_settings
    needs: Callable[["Experiment"], list[str]] = nothing


@dataclass(frozen=True, kw_only=True)
class Effects:
    """The numbers behind the claims of a study: the rule `measure_{name}`, which writes `{name}_effects.csv`.

    Attributes:
        name: what follows `measure_`.
        measure: `module:function`, called with `inputs` and `settings` as keywords and, where `read` is not empty, with
            `reading`, a `Reading`; it returns a list of `Measured`.
        inputs: files that the function reads, by keyword.
        settings: numbers and names from the config, by keyword.
        needs: further paths that must exist first.
        read: the fields of `Reading` that change the result; empty for what reads no pattern.
        measures: names of the effects that the function may return, which claims can be about.
    """

    name: str
    measure: str
    inputs: Callable[["Experiment"], Paths]
    settings: Callable[["Experiment"], dict[str, Any]] = no_settings
    needs: Callable[["Experiment"], list[str]] = nothing
    read: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """One study; what has a default may be left out.

    Attributes:
        name: its key below `studies` in the config, and the name of its folder.
        place: where it stands among the studies, the smallest first; those of the paper have multiples of 10.
        settings: the pydantic model of that key.
        selected: whether the config asks for the study at all.
        runs: the fine-tunings that it needs, in display order.
        first: those of them that decide what others are trained on; they come before the rest of the fine-tunings.
        names: what is wrong with the names in its settings, a sentence each that starts with the key's path.
        problems: what else is wrong with its settings, once all names of the config are known to exist.
        variants: rows of variants.csv: what is evaluated for it.
        evaluation_sets: evaluation sets that it brings along, by name.
        reads_patterns: whether it reads patterns before and after its runs by the run table: they have rows there.
        reads_steps: whether it reads patterns on the way too: its runs have rows there, and keep their checkpoints
            until their patterns exist.
        analyses, drawings, tables, effects: what it makes. What is claimed of the effects is in its `claims.yaml`.
        section: `module:function` of its sections of the report beyond its figures, called with the results; empty for
            none.
        views: what its part of the report shows interactively.
        targets: names that users build, each with the drawings and tables behind it.
    """

    name: str
    place: int
    settings: "type[Section]"
    selected: Callable[["Experiment"], bool] = always
    runs: Callable[["Experiment"], "list[Run]"] = nothing
    first: Callable[["Experiment"], "list[Run]"] = nothing
    names: Callable[["Experiment"], Iterable[str]] = nothing
    problems: Callable[["Experiment"], Iterable[str]] = nothing
    variants: Callable[["Experiment"], list[Any]] = nothing
    evaluation_sets: Callable[["Experiment"], Mapping[str, Any]] = no_settings
    reads_patterns: bool = False
    reads_steps: bool = False
    analyses: tuple[Analysis, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Tabulation, ...] = ()
    effects: tuple[Effects, ...] = ()
    section: str = ""
    views: tuple[View, ...] = ()
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def in_run_table(self) -> bool:
        """Whether its runs have rows in the run table."""
        return self.reads_patterns or self.reads_steps


def load(reference: str) -> Callable[..., Any]:
    """The function that `module:function` names."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(memory.load(module), name)
    return function
