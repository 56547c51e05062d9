"""The definition of a study: its settings, its runs, and the numbers, effects, figures, tables and section it makes.

Each folder below `headpatterns/studies` describes one study as a `Study`, and `headpatterns.studies` finds it there.
The rules, the report and the documentation of the config are made from these descriptions.

Code that computes or draws is named as text, `module:function`, and `load` imports it when a job needs it. So reading a
config imports neither numpy nor matplotlib.
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
    """The default of a study that adds nothing of some kind."""
    return []


def no_settings(experiment: "Experiment") -> dict[str, Any]:
    """The settings of a calculation that needs none."""
    return {}


def always(experiment: "Experiment") -> bool:
    """Selects a study in every experiment."""
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
        in_report: whether the report shows each figure in its own section; false if the study's section shows it.
        selected: whether the config selects the figures; otherwise neither a target nor the report needs them.
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
        name: what follows `write_`, and the file name without suffix; also the name of a caption in the study's folder.
        tabulate: `module:function`, called with `inputs` as keywords; it returns the whole table and its grids.
        inputs: files that the function reads, by keyword.
    """

    name: str
    tabulate: str
    inputs: Callable[["Experiment"], Paths]


@dataclass(frozen=True, kw_only=True)
class View:
    """An interactive view, a part of the report's page: the rule `render_report` makes it; it has no separate file.

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
        measure: `module:function`, called with `inputs` and `settings` as keywords and, if `read` is not empty, with
            `reading`, a `Reading`; it returns a list of `Measured`.
        inputs: files that the function reads, by keyword.
        settings: numbers and names from the config, by keyword.
        needs: further paths that must exist first.
        read: the fields of `Reading` that change the result; empty if no pattern is read.
        measures: names of the effects that the function may return, to which claims can refer.
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
    """One study; attributes with a default may be left out.

    Attributes:
        name: its key below `studies` in the config, and the name of its folder.
        place: its place in the order of studies, smallest first; studies of the paper have multiples of 10.
        settings: the pydantic model of that key.
        selected: whether the config selects the study at all.
        runs: the fine-tunings that it needs, in display order.
        first: the fine-tunings that determine the training sets of others, and so run first.
        names: problems of names in its settings, one sentence each that starts with the key's path.
        problems: other problems of its settings, checked when all names of the config exist.
        variants: rows of variants.csv, with the evaluations that it needs.
        evaluation_sets: evaluation sets that it adds, by name.
        reads_patterns: whether it reads patterns before and after its runs; its runs then have rows in the run table.
        reads_steps: whether it also reads patterns of intermediate checkpoints; its runs then have rows in the run
            table, and keep their checkpoints until their patterns exist.
        analyses, drawings, tables, effects: its results. The claims about the effects are in its `claims.yaml`.
        section: `module:function` of its sections of the report, apart from its figures, called with the results; empty
            for none.
        views: its interactive views in the report.
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
