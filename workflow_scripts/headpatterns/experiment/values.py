"""Sentences about values of a config that do not fit together: recipes, sizes, lengths, sources, and the cluster."""

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headpatterns.experiment import needed
from headpatterns.experiment.own import of_model
from headpatterns.experiment.recipes import Finetuning
from headpatterns.experiment.schema import Config
from headpatterns.experiment.sources import AfterRun, EmbeddedRows, OnDisk, Pretrained
from headpatterns.models import families

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

ON_ONE_GPU = ("ablate_heads", "transfer_losses", "transplant_heads", "choose_heads", "trained_losses")
"""Rules whose jobs use only one GPU, even if they get more."""


def problems(experiment: "Experiment") -> Iterator[str]:
    """Everything that does not fit together."""
    config = experiment.config
    yield from _answers(config)
    common = list(_recipe(config.finetuning))
    yield from (f"finetuning.{said}" for said in common)
    if late := [step for step in config.finetuning.checkpoint_steps if step > (config.finetuning.max_steps or step)]:
        yield f"finetuning.checkpoint_steps has {late[0]}, beyond max_steps {config.finetuning.max_steps}: remove it."
    for group in _groups_of_their_own(experiment):
        path, _ = needed.own_recipe(config, group)
        yield from (f"{path}.{said}" for said in _recipe(experiment.recipe(group)) if said not in common)
    yield from _seeds(experiment)
    yield from _sizes_of_models(config)
    yield from _sizes_of_datasets(config)
    yield from _lengths(experiment)
    yield from _families(experiment)
    yield from _finetuned(experiment)
    yield from _cluster(config)


def _groups_of_their_own(experiment: "Experiment") -> Iterator[str]:
    """Problems of groups that set parts of their recipe: studies of section 5 that train, and task groups."""
    for study in type(experiment.config.studies).model_fields:
        settings = experiment.settings(study)
        if hasattr(settings, "finetuning") and settings.models:
            yield study
    yield from (name for name, group in experiment.config.task_groups.items() if group.finetuning)


def _answers(config: Config) -> Iterator[str]:
    """Answers that leave nothing of the positions to a prompt."""
    own = {f"datasets.{name}": dataset.max_new_tokens for name, dataset in config.datasets.items()}
    longest = config.tokenization.max_length
    for where, answer in {"evaluation": config.evaluation.max_new_tokens, **own}.items():
        if answer is not None and answer >= longest:
            yield (
                f"{where}.max_new_tokens is {answer}, which leaves no room for a prompt in tokenization.max_length "
                f"{longest}: lower it."
            )


def _seeds(experiment: "Experiment") -> Iterator[str]:
    """Several seeds whose runs would be identical."""
    config = experiment.config
    if len(config.seeds) == 1:
        return
    if not config.seed_moves:
        yield (
            f"seed_moves is empty, but seeds has {len(config.seeds)}, so all their runs would be the same: add order."
        )
    elif config.seed_moves == ["pretraining"]:
        still = [model for model in experiment.models if not needed.has_base_per_seed(config, model)]
        yield from (f"seed_moves has only pretraining, which changes nothing in models.{model}: add order."
                    for model in still)  # fmt: skip


def _recipe(recipe: Finetuning) -> Iterator[str]:
    """Values that do not fit together in a recipe, after the key of the recipe."""
    parts = {name: getattr(recipe, name) for name in
             ("devices", "per_device_batch_size", "gradient_accumulation_steps")}  # fmt: skip
    product = math.prod(parts.values())
    if recipe.global_batch_size != product:
        yield (
            f"global_batch_size is {recipe.global_batch_size}, but "
            f"{' × '.join(f'{name} {value}' for name, value in parts.items())} = {product}: make the two agree."
        )
    if recipe.devices % recipe.nodes:
        yield f"devices is {recipe.devices}, which {recipe.nodes} nodes cannot share equally: change devices or nodes."
    if recipe.optimizer == "adamw_offloaded" and recipe.engine != "deepspeed":
        yield "optimizer is adamw_offloaded, which needs engine: deepspeed; set that, or another optimizer."


def _sizes_of_models(config: Config) -> Iterator[str]:
    """Impossible sizes for the plan, which would otherwise be used as known sizes."""
    for name, model in config.models.items():
        size = model.size
        if size is None:
            continue
        if isinstance(model.source, OnDisk | AfterRun):
            yield f"models.{name}.size is set, but the files of this model are read: remove it."
        if size.width % size.heads:
            yield (
                f"models.{name}.size.width is {size.width}, which is not a multiple of its {size.heads} heads: "
                "set it to query heads × head size."
            )
        if size.parameters < 4 * size.layers * size.width:  # narrower than any feed-forward block is
            yield (
                f"models.{name}.size.parameters is {size.parameters}, too few for {size.layers} layers of width "
                f"{size.width}: correct one of them."
            )
        elif size.hidden and size.parameters < size.layers * size.width * size.hidden:  # the output projections alone
            yield (
                f"models.{name}.size.hidden is {size.hidden}, which needs more parameters than size.parameters, which "
                f"is {size.parameters}: correct one of them."
            )
        if not size.parameters / 2 <= (size.bytes or size.parameters) <= 8 * size.parameters:
            yield f"models.{name}.size.bytes is {size.bytes} for {size.parameters} parameters: correct one of them."


def _sizes_of_datasets(config: Config) -> Iterator[str]:
    """Impossible numbers of rows of the plan and of instructions."""
    for name, dataset in config.datasets.items():
        size, sampled = dataset.size, config.sampled(name)
        expected = dataset.expected.model_dump(exclude_unset=True) if dataset.expected else {}
        for split, count in expected.items():
            most = getattr(sampled, split)
            if most is not None and count > most:
                yield f"datasets.{name}.expected.{split} is {count}, but sampling keeps {most}: correct one of them."
        if size is None:
            continue
        if dataset.probe and size.probe is None:
            yield f"datasets.{name}.size lacks 'probe', the rows of its probe files: add it."
        held = sampled.train if sampled.probe is None else sampled.probe
        if not dataset.probe and held and held >= size.train:
            yield (
                f"datasets.{name}.size.train is {size.train}, but sampling takes {held} of them for the probe "
                "set: nothing is left."
            )


def mixed_rows(experiment: "Experiment") -> Iterator[str]:
    """Selected datasets of your own that still have a source of the embedded experiment."""
    for name in experiment.datasets:
        dataset = experiment.config.datasets[name]
        kinds = {isinstance(source, EmbeddedRows) for source in [*dataset.train, *dataset.probe]}
        if len(kinds) > 1:
            yield (
                f"datasets.{name} mixes rows of the embedded experiment with others (an overlay that sets only "
                "train keeps the embedded probe): set both, or set probe: [] to hold the probe set out of train."
            )


def architecture(experiment: "Experiment", model: str) -> dict[str, Any]:
    """Fields of a model's transformers config, if that is known before any job; otherwise none.

    Raises:
        InputError: the config of a model of your own is not JSON.
    """
    config, source = experiment.config, experiment.config.models[model].source
    if isinstance(source, Pretrained):
        return config.pretraining[source.pretraining].architecture.model_dump()
    if own := of_model(source):
        return experiment.paths.own.architecture(own.kind, own.written, f"models.{model}.source.{own.key}")
    return {}


def _finetuned(experiment: "Experiment") -> Iterator[str]:
    """Models fine-tuned elsewhere whose layers or heads differ from their bases', if both configs are available."""
    config = experiment.config
    for name in needed.given(experiment.runs):
        own, base = of_model(config.finetuned[name].source), config.finetuned[name].base
        if not own or own.kind == "adapter":
            continue
        key = f"finetuned.{name}.source.{own.key}"
        found = experiment.paths.own.architecture(own.kind, own.written, key)
        known = architecture(experiment, needed.base_model(config, base))
        for field, what in (("num_hidden_layers", "layers"), ("num_attention_heads", "query heads")):
            if field in found and field in known and found[field] != known[field]:
                yield (
                    f"{key} leads to a model of {found[field]} {what}, but its base, models.{base}, has "
                    f"{known[field]}: set base to the model that it was trained from."
                )


def positions(experiment: "Experiment", model: str) -> int | None:
    """Positions of a model; for one that was never available, at least those of a sample; None if not known."""
    own, files = of_model(experiment.config.models[model].source), experiment.paths.own
    known: int | None = architecture(experiment, model).get("max_position_embeddings")
    unseen = own and files.problem(own.kind, own.written) and not files.last(own.kind, own.written)
    return known or (experiment.config.tokenization.max_length if unseen else None)


def heads(experiment: "Experiment", model: str) -> int | None:
    """Heads of all layers of a model, or of the model at the start of its chain of runs; None if they are not known."""
    base = needed.base_model(experiment.config, model)
    size = experiment.config.models[base].size
    if size:
        return size.layers * size.heads
    found = architecture(experiment, base)
    layers, own = found.get("num_hidden_layers"), found.get("num_attention_heads")
    return layers * own if isinstance(layers, int) and isinstance(own, int) else None


def _families(experiment: "Experiment") -> Iterator[str]:
    """Selected models that have no heads or are not decoders, if their config is available."""
    for model in experiment.models:
        if said := families.refusal(architecture(experiment, model)):
            yield f"models.{model} {said}"


def _lengths(experiment: "Experiment") -> Iterator[str]:
    """Sequences beyond the positions of a selected model, if its config is available."""
    config, said = experiment.config, set()
    for model in experiment.models:
        lengths = {"tokenization.max_length": config.tokenization.max_length}
        if isinstance(config.models[model].source, Pretrained):
            lengths["pretraining_recipe.block_size"] = config.pretraining_recipe.block_size
        most = architecture(experiment, model).get("max_position_embeddings")
        for key, length in lengths.items():
            if most and length > most and (key, most) not in said:
                said.add((key, most))
                yield f"{key} is {length}, but models.{model} has {most} positions: set it to {most} or less."


def _cluster(config: Config) -> Iterator[str]:
    for key, value in config.cluster.model_dump().items():
        if value == "None":  # Snakemake passes the null of a profile like this
            yield f'cluster.{key} is null in a profile: write "" if there is nothing to ask for.'
    if not re.fullmatch(r"[A-Za-z0-9_.]*", gpu_type := config.cluster.gpu_type or ""):
        # Snakemake's plugin for Slurm accepts only these.
        yield (
            f"cluster.gpu_type is '{gpu_type}', but it may have only letters, digits, '_' and '.': correct it, or "
            "leave it empty."
        )
    # Jobs of a cluster may compute on the CPU but still have to request a GPU, if the partition requires one.
    idle = config.device == "cpu" and config.cluster.configured
    own = config.resources.get("finetune")
    if not idle and own and "gpu" in own.model_fields_set:
        yield (
            "resources.finetune.gpu is not used, because finetuning.devices says how many GPUs a run takes: remove it."
        )
    if not idle and config.device == "cpu" and any(size.gpu for size in config.resources.values()):
        yield "resources asks for GPUs, but device is cpu: set device to cuda or gpu to 0."
    for rule in ON_ONE_GPU:
        asked = config.size(rule)["gpu"]
        if asked > 1:
            stated = config.resources.get(rule)
            where = rule if stated and "gpu" in stated.model_fields_set else "default"
            yield (
                f"resources.{where}.gpu is {asked}, but a job of {rule} computes on one GPU: set "
                f"resources.{rule}.gpu to 1."
            )
