"""The settings of the selection study, its runs, and its evaluations."""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from headpatterns.experiment import runs as kinds
from headpatterns.experiment.fields import (
    OWN_SEEDS,
    Amount,
    Counts,
    Name,
    Names,
    Positive,
    Section,
    Seed,
    Seeds,
    Selection,
    Share,
)
from headpatterns.experiment.needed import ItemSet, base_model, base_name
from headpatterns.experiment.recipes import Lora, OwnRecipe
from headpatterns.experiment.references import below_one_step, unknown, unknown_in
from headpatterns.experiment.runs import PseudoPrivateSet, Run, SelectedSet
from headpatterns.experiment.tables import variant_row
from headpatterns.experiment.values import architecture
from headpatterns.experiment.variants import ALL_DOMAINS
from headpatterns.models.linear_layers import adapter_weights

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

NAME = kinds.SELECTION
Method = Literal[
    "pattern", "base-pattern", "nearest", "bm25",
    "signed", "by-layer", "mid-perplexity", "top-perplexity", "ifd", "rds", "less",
]  # fmt: skip
LESS: Method = "less"
READING: tuple[Method, ...] = ("ifd", "rds", LESS)
"""Methods for which the base model reads the candidates once more."""


def _once(methods: list[Method]) -> list[Method]:
    if repeated := next((one for place, one in enumerate(methods) if one in methods[:place]), None):
        raise PydanticCustomError("repeated", "names {value} twice: name it once.", {"value": repeated})
    return methods


def _with_pattern(methods: list[Method]) -> list[Method]:
    if "pattern" not in methods:
        raise PydanticCustomError("repeated", "lacks 'pattern', which the others are compared with: add it.")
    return _once(methods)


Dimension = Annotated[int, Field(ge=8, multiple_of=8)]


class Less(Section):
    """LESS (Xia et al. 2024): gradients by adapters, compared after each epoch of a warm-up on a part of the pools."""

    warm_up: Share = Field(description="share of the samples common to all pools on which the adapters are trained")
    epochs: Positive = Field(description="passes over these samples; gradients are taken after each pass")
    batch_size: Positive = Field(description="samples per step")
    learning_rate: Amount = Field(description="learning rate of the first step; it falls linearly to 0")
    lora: Lora = Field(description="the adapters, as in `finetuning.lora`")
    dimension: Dimension = Field(description="dimension to which gradients are projected, a multiple of 8")
    seed: Seed = Field(description="seed of the samples, their order, the first weights and the projection")


class Settings(Section):
    """Samples of a pool whose patterns resemble a domain's (Eq. 5): Table 3."""

    models: Names = Field(description="models, in display order; an empty list leaves the study out")
    dataset: str = Field(description="dataset whose rows are tagged with domains")
    domains: Selection = Field(description="domains, in display order")
    budgets: Counts = Field(description="budgets: numbers of samples to select")
    methods: Annotated[list[Method], AfterValidator(_with_pattern)] = Field(
        description="methods of selection that are trained with; `pattern` is Eq. 5"
    )
    scored: Annotated[list[Method], AfterValidator(_once)] = Field(
        [], description="further methods, whose precision is reported, without training on their samples"
    )
    less: Less = Field(description="settings of the method less")
    random_draws: Positive = Field(description="number of random choices for each budget")
    related: dict[Name, Selection] | None = Field(
        None, description="tags of pool rows that share a domain's relations, by domain; null if unknown"
    )
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)
    finetuning: OwnRecipe = Field(description="keys of `finetuning` that differ for its runs")


def selected(experiment: "Experiment") -> bool:
    """Whether the config asks for the study."""
    return bool(experiment.settings(NAME).models)


def ranked(experiment: "Experiment") -> list[Method]:
    """The methods that rank the pools, first those whose choices are trained on; the others are judged only by related
    samples."""
    settings: Settings = experiment.settings(NAME)
    return [*settings.methods, *(settings.scored if settings.related else [])]


def reads_candidates(experiment: "Experiment") -> bool:
    """Whether a method needs features of the candidates other than patterns, losses and words."""
    return selected(experiment) and not set(READING).isdisjoint(ranked(experiment))


def takes_gradients(experiment: "Experiment") -> bool:
    """Whether LESS ranks the pools."""
    return selected(experiment) and LESS in ranked(experiment)


def warm_up(experiment: "Experiment") -> dict[str, Any]:
    """The warm-up of LESS: its recipe and the keys that belong to it."""
    less: Less = experiment.settings(NAME).less
    return less.model_dump()


def choices(experiment: "Experiment", domain: str) -> list[SelectedSet]:
    """The training sets of a domain: each method and random draw with each budget, and where known the oracle's."""
    settings: Settings = experiment.settings(NAME)
    drawn: list[tuple[str, int | None]] = [(method, None) for method in settings.methods]
    drawn += [("random", draw) for draw in range(settings.random_draws)]
    drawn += [("oracle", None)] if settings.related else []
    return [SelectedSet(domain, settings.dataset, method, draw, budget)
            for budget in settings.budgets for method, draw in drawn]  # fmt: skip


def probe_model_run(experiment: "Experiment", model: str, domain: str, seed: int) -> Run:
    """The run that makes a domain's probe model."""
    return Run(model, PseudoPrivateSet(domain, experiment.settings(NAME).dataset), seed)


def first(experiment: "Experiment") -> list[Run]:
    """The runs that must finish before selections are made."""
    settings: Settings = experiment.settings(NAME)
    probed = product(settings.models, settings.domains, experiment.seeds(NAME))
    return [probe_model_run(experiment, *one) for one in probed]


def runs(experiment: "Experiment") -> list[Run]:
    """Every run of the study; a run comes after the runs that it depends on."""
    settings: Settings = experiment.settings(NAME)
    found = []
    for seed in experiment.seeds(NAME):
        for model in settings.models:
            found += [probe_model_run(experiment, model, domain, seed) for domain in settings.domains]
            found += [Run(model, choice, seed) for domain in settings.domains for choice in choices(experiment, domain)]
    return found


def item_set(experiment: "Experiment", domain: str) -> str:
    """Name of the evaluation set of a domain's target items."""
    return f"{experiment.settings(NAME).dataset}-{domain}"


def variants(experiment: "Experiment") -> list[dict[str, Any]]:
    """The base model, and the model trained on each choice, on the domain's target items."""
    settings: Settings = experiment.settings(NAME)
    rows = []
    for model in settings.models:
        for seed in experiment.seeds(NAME):
            for domain in settings.domains:
                items = item_set(experiment, domain)
                base = base_name(experiment.config, model, seed)
                rows.append(variant_row(experiment, NAME, model, seed, "base", base, items, domain=domain))
                rows += [
                    variant_row(experiment, NAME, model, seed, choice.method, Run(model, choice, seed), items,
                                draw=choice.draw, budget=choice.budget, domain=domain)
                    for choice in choices(experiment, domain)
                ]  # fmt: skip
    return rows


def evaluation_sets(experiment: "Experiment") -> dict[str, ItemSet]:
    """The target items of every domain."""
    settings: Settings = experiment.settings(NAME)
    if not selected(experiment):
        return {}
    return {item_set(experiment, domain): ItemSet(dataset=settings.dataset, domain=domain)
            for domain in settings.domains}  # fmt: skip


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define, or that are already in use."""
    settings: Settings = experiment.settings(NAME)
    config, path = experiment.config, f"studies.{NAME}"
    yield from unknown_in(f"{path}.models", "model", settings.models, config.models)
    yield from unknown(f"{path}.dataset", "dataset", settings.dataset, config.datasets)
    yield from unknown_in(f"{path}.domains", "domain", settings.domains, config.domains)
    if ALL_DOMAINS in settings.domains:
        yield f"domains.{ALL_DOMAINS} has the name of the mean over domains: choose another name."
    if settings.dataset == kinds.TRAINING:
        yield f"{path}.dataset is '{kinds.TRAINING}', which names a run's own samples: rename it."
    for name in evaluation_sets(experiment):
        if name in config.evaluation.sets:
            yield f"evaluation.sets.{name} has the name of a set of section 5: choose another name."
    yield from _alike(experiment)
    yield from _related(experiment)


def _related(experiment: "Experiment") -> Iterator[str]:
    """Related tags of domains that do not exist, of only some domains, or that are a domain's own."""
    settings: Settings = experiment.settings(NAME)
    domains, path, related = experiment.config.domains, f"studies.{NAME}.related", settings.related or {}
    if not (related and selected(experiment)):
        return
    for domain, tags in related.items():
        yield from unknown(f"{path}.{domain}", "domain", domain, domains)
        own = set(domains[domain].tags) if domain in domains else set()
        for tag in tags:
            if tag in own:
                yield f"{path}.{domain} names '{tag}', a tag of the domain itself: name tags outside of it."
    for domain in settings.domains:
        if domain not in related:
            yield f"{path} lacks the domain '{domain}': add its related tags, or write null if they are unknown."


def _alike(experiment: "Experiment") -> Iterator[str]:
    """Domains that would give two runs the same name."""
    owner: dict[str, str] = {}
    for domain in experiment.settings(NAME).domains:
        own: list[PseudoPrivateSet | SelectedSet] = [PseudoPrivateSet(domain, ""), *choices(experiment, domain)]
        for training_set in own:
            other = owner.setdefault(training_set.task, domain)
            if other != domain:
                both = f"'{other}' and '{domain}', whose runs cannot be told apart"
                yield f"studies.{NAME}.domains has {both}: rename one."
                return


def problems(experiment: "Experiment") -> Iterator[str]:
    """A budget below a step, a method named twice, signs that are not extracted, and too large a dimension of LESS."""
    settings: Settings = experiment.settings(NAME)
    if not selected(experiment):
        return
    yield from below_one_step(f"studies.{NAME}.budgets", min(settings.budgets), experiment.recipe(NAME))
    for place, method in enumerate(settings.scored):
        if method in settings.methods:
            yield f"studies.{NAME}.scored[{place}] names '{method}', which `methods` has as well: remove it from one."
    yield from _dimension(experiment)
    taken = experiment.config.patterns
    if "signed" in ranked(experiment) and "abs_of_sum" not in (taken.reduction, *taken.also):
        yield (
            f"studies.{NAME} ranks by 'signed' patterns, which need the reduction abs_of_sum: add abs_of_sum to "
            "patterns.also."
        )


def _dimension(experiment: "Experiment") -> Iterator[str]:
    """Gradients that are projected to more numbers than they have, checked if the models' configs are available."""
    if not takes_gradients(experiment):
        return
    less: Less = experiment.settings(NAME).less
    for model in experiment.settings(NAME).models:
        found = architecture(experiment, base_model(experiment.config, model))
        weights = adapter_weights(found, less.lora.rank, less.lora.target_modules)
        if weights is not None and less.dimension > weights:
            yield (
                f"studies.{NAME}.less.dimension is {less.dimension}, but the adapters of models.{model} have {weights} "
                f"weights: lower it, or raise studies.{NAME}.less.lora.rank."
            )


def relation_is_known(experiment: "Experiment") -> bool:
    """Whether the config says which samples of the pools are truly related to the domains."""
    return selected(experiment) and bool(experiment.settings(NAME).related)


def selections(experiment: "Experiment") -> list[tuple[str, str, int]]:
    """Model, domain and seed of every selection."""
    settings: Settings = experiment.settings(NAME)
    return [(model, domain, seed) for model in settings.models for domain in settings.domains
            for seed in experiment.seeds(NAME)]  # fmt: skip


def rankings(experiment: "Experiment") -> list[dict[str, Any]]:
    """Of every selection the scores, the related samples, and the random draws of the largest budget; none where the
    related samples are not known."""
    settings: Settings = experiment.settings(NAME)
    paths, largest = experiment.paths, max(settings.budgets)
    if not relation_is_known(experiment):
        return []
    return [
        {
            "model": model,
            "domain": domain,
            "seed": seed,
            "scores": paths.selection(model, domain, seed, "scores.csv"),
            "related": paths.domain(domain, "related"),
            "drawn": [paths.selection(model, domain, seed, f"random{draw}-{largest}.csv")
                      for draw in range(settings.random_draws)],
        }
        for model, domain, seed in selections(experiment)
    ]  # fmt: skip
