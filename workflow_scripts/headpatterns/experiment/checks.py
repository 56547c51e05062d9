"""What is said of a config that cannot be run: one sentence with the key's path and the nearest valid name."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from headpatterns.cluster import resources as cluster
from headpatterns.data import adapters, splitting, templates
from headpatterns.data.embedded import registry
from headpatterns.errors import InputError
from headpatterns.experiment import applications
from headpatterns.experiment import config as experiment
from headpatterns.experiment import variants as evaluations
from headpatterns.experiment.config import Config
from headpatterns.experiment.runs import Run
from headpatterns.io import read_json
from headpatterns.models.loading import has_tokenizer
from headpatterns.planning import formulas as costs

SCHEMA = Path(__file__).resolve().parents[3] / "config" / "schema.yaml"


def check(config: Config, rules: Iterable[str], at_hand: bool = True) -> None:
    """Refuse a config that the workflow cannot run, with the key's path and the nearest valid name.

    `rules` are the names that `resources` may mention; `at_hand` says whether files of one's own must exist.
    """
    _check_schema(config)
    for problem in _problems(config, list(rules), at_hand):
        raise InputError(f"config key {problem}")


def _check_schema(config: Config) -> None:
    validator = jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    # The deepest error says most; its siblings are mostly consequences.
    errors = sorted(validator.iter_errors(config), key=lambda error: (-len(error.absolute_path), str(error.path)))
    if errors:
        raise InputError(f"config key {_sentence(errors[0])}")


def _sentence(error: jsonschema.ValidationError) -> str:
    path = _path(error.absolute_path) or "(top level)"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        where = f"{path}.{unknown}" if error.absolute_path else unknown
        return f"{where} is unknown{_nearest(unknown, known)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{path} lacks '{missing}': add it."
    if "propertyNames" in error.absolute_schema_path:
        return f"{path} has the name '{error.instance}': use lower-case letters, digits, - and _."
    if error.validator == "pattern" and error.absolute_path[-1] == "run":
        return f"{path} is '{error.instance}': write the name of a run, GROUP.TASK.seedN."
    if error.validator == "contains":
        return f"{path} lacks '{error.validator_value['const']}', which the others are compared with: add it."
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"{path} is {error.instance!r}: it must be of type {' or '.join(wanted)}{_as_number(error.instance)}."
    return f"{path}: {error.message}."


def _as_number(value: Any) -> str:
    """The fix for a number that YAML reads as text: it wants a point before the exponent."""
    try:
        mantissa, exponent = f"{float(value):e}".split("e")
    except (TypeError, ValueError):
        return ""
    return f"; write {float(mantissa)}e{int(exponent):+d}" if isinstance(value, str) else ""


def _path(parts: Iterable[str | int]) -> str:
    """A key's path as one would write it: `models.llama.source`, `seeds[0]`."""
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in parts))


def _nearest(name: str, valid: Iterable[str]) -> str:
    valid = list(valid)
    near = difflib.get_close_matches(str(name), valid, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; valid are: {', '.join(valid) or 'none'}."


def _unknown(path: str, kind: str, name: str, valid: Iterable[str]) -> Iterator[str]:
    if name not in valid:
        yield f"{path} names the unknown {kind} '{name}'{_nearest(name, valid)}"


def _unknown_in(path: str, kind: str, names: Iterable[str], valid: Iterable[str]) -> Iterator[str]:
    for place, name in enumerate(names):
        yield from _unknown(f"{path}[{place}]", kind, name, valid)


def _problems(config: Config, rules: list[str], at_hand: bool) -> Iterator[str]:
    """Everything that the schema cannot say, the first problem first; only the first is sound to ask for."""
    yield from _said_by("prompt_template", templates.resolve, config["prompt_template"])
    for section, name in (("models", "embedded"), ("pretraining", "tokenizer")):
        if name in config[section]:
            yield f"{section}.{name} has a name that is taken by the embedded tokenizer: choose another."
    for name, model in config["models"].items():
        yield from _model_problems(config, f"models.{name}.source", model["source"])
    for name, dataset in config["datasets"].items():
        yield from _unknown(f"datasets.{name}.adapter", "adapter", dataset["adapter"], adapters.ADAPTERS)
        options = dataset.get("options", {})
        yield from _said_by(f"datasets.{name}.options", adapters.resolve_options, dataset["adapter"], options)
        for split in ("train", "probe"):
            for place, source in enumerate(dataset.get(split, [])):
                yield from _rows_problems(f"datasets.{name}.{split}[{place}]", source)
    for generator in config["embedded"]["sizes"]:
        yield from _unknown(f"embedded.sizes.{generator}", "generator", generator, registry.GENERATORS)
    for name, group in config["task_groups"].items():
        if name in applications.STUDIES:
            yield f"task_groups.{name} has a name that is taken by the runs of section 5: choose another."
        yield from _group_problems(config, f"task_groups.{name}", group)
    for name in experiment.STUDIES:
        study = config["studies"][name]
        yield from _unknown_in(f"studies.{name}.models", "model", study["models"], config["models"])
        groups = study.get("groups", [study.get("group")])
        for group in groups:
            yield from _unknown(f"studies.{name}.group{'s' if 'groups' in study else ''}", "task group", group,
                                config["task_groups"])  # fmt: skip
            if name == "composition" and "complex" not in config["task_groups"][group]:
                yield f"task_groups.{group}.complex is missing, but studies.composition needs it: name the task."
    dynamics = config["studies"]["dynamics"]
    if dynamics.get("changes_most") is not None:
        yield from _unknown("studies.dynamics.changes_most", "model of the study", dynamics["changes_most"],
                            dynamics["models"])  # fmt: skip
    yield from _mixing_problems(config)
    yield from _selection_problems(config)
    yield from _evaluation_problems(config)
    yield from _recipe_problems("finetuning", config["finetuning"])
    for name in applications.STUDIES:
        yield from _recipe_problems(f"studies.{name}.finetuning", experiment.recipe(config, name))
    yield from _size_problems(config)
    if at_hand:
        yield from _missing_paths(config)
    yield from _mixed_rows(config)
    yield from _length_problems(config, at_hand)
    yield from _validity_problems(config, at_hand)
    for rule in config["resources"]:
        yield from _unknown(f"resources.{rule}", "rule", rule, ["default", *rules])
    yield from _cluster_problems(config)


def _said_by(path: str, check: Callable[..., Any], *arguments: Any) -> Iterator[str]:
    """What a check of the package says, behind the key that it is about."""
    try:
        check(*arguments)
    except InputError as error:
        yield f"{path}: {error}"


def _mixing_problems(config: Config) -> Iterator[str]:
    mixing = config["studies"][applications.MIXING]
    path = f"studies.{applications.MIXING}"
    yield from _unknown_in(f"{path}.models", "model", mixing["models"], config["models"])
    yield from _unknown(f"{path}.group", "task group", mixing["group"], config["task_groups"])
    yield from _unknown_in(f"{path}.also", "dataset", mixing["also"], config["datasets"])
    for task in mixing["also"]:
        if task in config["task_groups"][mixing["group"]]["tasks"]:
            yield f"{path}.also names '{task}', a task of the group '{mixing['group']}' already: remove it."
    yield from _below_one_step(f"{path}.instructions", mixing["instructions"], experiment.recipe(config, "mixing"))
    yield from _unknown(f"{path}.target", "dataset", mixing["target"], config["datasets"])
    if mixing["target"] in applications.candidates(config):
        yield f"{path}.target is '{mixing['target']}', which is a candidate as well: name another target."


def _validity_problems(config: Config, at_hand: bool) -> Iterator[str]:
    """What the runs of the adaptation study do not offer, and more heads than a model has, as far as that is known."""
    validity, adaptation = config["studies"]["validity"], config["studies"]["adaptation"]
    path = "studies.validity"
    offered = {"models": adaptation["models"], "tasks": config["task_groups"][adaptation["group"]]["tasks"]}
    for key, names in offered.items():
        kind = f"{key[:-1]} of studies.adaptation"
        yield from _unknown_in(f"{path}.{key}", kind, validity[key] or [], names)
    selected = experiment.validity_runs(config)
    for task in {run.task: None for run in selected}:
        own = config["datasets"][task].get("sampling", {})
        probe = {**config["sampling"], **own}["probe"]
        fewest = splitting.FEWEST_OF_TWO
        if probe is not None and probe < fewest:
            where = f"datasets.{task}.sampling" if "probe" in own else "sampling"
            yield f"{where}.probe is {probe}, but {path} takes two sets of two: raise it to {fewest} or more."
    for model in {run.model: None for run in selected}:
        heads = _heads(config, model, at_hand)
        if heads is not None and max(validity["top"]) > heads:
            yield f"{path}.top has {max(validity['top'])}, but models.{model} has {heads} heads in all: lower it."


def _heads(config: Config, model: str, at_hand: bool) -> int | None:
    """Heads of all layers of a model, or of that which its chain of runs began with; None where they are not known."""
    base = experiment.base_model(config, model)
    size = config["models"][base].get("size")
    if size:
        return size["layers"] * size["heads"]
    found = _architecture(config, base, at_hand)
    layers, heads = found.get("num_hidden_layers"), found.get("num_attention_heads")
    return layers * heads if isinstance(layers, int) and isinstance(heads, int) else None


def _below_one_step(path: str, samples: int, recipe: dict[str, Any]) -> Iterator[str]:
    if samples < recipe["global_batch_size"]:
        yield f"{path} has {samples}, less than one step of global_batch_size {recipe['global_batch_size']}: raise it."


def _selection_problems(config: Config) -> Iterator[str]:
    selection = config["studies"][applications.SELECTION]
    path = f"studies.{applications.SELECTION}"
    yield from _unknown_in(f"{path}.models", "model", selection["models"], config["models"])
    yield from _unknown(f"{path}.dataset", "dataset", selection["dataset"], config["datasets"])
    yield from _unknown_in(f"{path}.domains", "domain", selection["domains"], config["domains"])
    if evaluations.ALL_DOMAINS in selection["domains"]:
        yield f"domains.{evaluations.ALL_DOMAINS} has the name of the mean over domains: choose another."
    if selection["dataset"] == applications.TRAINING:
        yield f"{path}.dataset is '{applications.TRAINING}', which names a run's own samples: rename it."
    yield from _below_one_step(f"{path}.budgets", min(selection["budgets"]), experiment.recipe(config, "selection"))
    for domain in selection["domains"]:
        own = [applications.pseudo_private_run("", domain, 0), *applications.selected_runs(config, "", domain, 0)]
        for other in {applications.domain_of(config, run) for run in own} - {domain}:
            yield f"{path}.domains has '{domain}' and '{other}', whose runs cannot be told apart: rename one."


def _evaluation_problems(config: Config) -> Iterator[str]:
    sets, benchmarks = config["evaluation"]["sets"], config["studies"][applications.BENCHMARKS]
    own = applications.application_sets(config)
    for name, described in sets.items():
        if name in own:
            yield f"evaluation.sets.{name} has the name of a set of section 5: choose another."
        if "dataset" in described:
            path = f"evaluation.sets.{name}.dataset"
            yield from _unknown(path, "dataset", described["dataset"], config["datasets"])
    longest, answer = config["tokenization"]["max_length"], config["evaluation"]["max_new_tokens"]
    if answer >= longest:
        yield (
            f"evaluation.max_new_tokens is {answer}, which leaves no room for a prompt in tokenization.max_length "
            f"{longest}: lower it."
        )
    path = f"studies.{applications.BENCHMARKS}.sets"
    yield from _unknown_in(path, "evaluation set", benchmarks["sets"], applications.evaluation_sets(config))
    made = {(run.model, run.name) for run in [*experiment.runs(config), *applications.runs(config)]}
    for place, checkpoint in enumerate(benchmarks["checkpoints"]):
        path = f"studies.{applications.BENCHMARKS}.checkpoints[{place}]"
        yield from _unknown(f"{path}.model", "model", checkpoint["model"], config["models"])
        known = [applications.BASE, *(run for model, run in made if model == checkpoint["model"])]
        group = checkpoint["run"].split(".")[0]
        if group in applications.STUDIES or checkpoint["run"] == applications.BASE:
            yield from _unknown(f"{path}.run", "run of this model", checkpoint["run"], sorted(known))
        else:
            yield from _run_problems(config, f"{path}.run", checkpoint["run"])
    if bool(benchmarks["sets"]) != bool(benchmarks["checkpoints"]):
        yield f"studies.{applications.BENCHMARKS} has sets or checkpoints alone, which evaluates nothing: name both."


def _missing_opencompass(config: Config) -> Iterator[str]:
    """A missing data folder, where a built-in configuration of OpenCompass is to be evaluated."""
    evaluation, benchmarks = config["evaluation"], config["studies"][applications.BENCHMARKS]
    experiment.expand(evaluation["python"], "evaluation.python")
    chosen = [evaluation["sets"].get(name, {}) for name in benchmarks["sets"]]
    if benchmarks["checkpoints"] and any("opencompass" in one for one in chosen):
        path = evaluation["opencompass_data"]
        if path is None:
            yield "evaluation.opencompass_data is null, but a set is a configuration of OpenCompass: name its folder."
        elif not (Path(experiment.expand(path, "evaluation.opencompass_data")) / "data").is_dir():
            yield f"evaluation.opencompass_data is {path}, which holds no folder data/: fix the path."


def _run_problems(config: Config, path: str, name: str) -> Iterator[str]:
    """A run of a task group need not be one of a study's, but its group and task must exist."""
    run = Run.named("", name)
    yield from _unknown(path, "task group", run.group, config["task_groups"])
    yield from _unknown(path, "task of its group", run.task, config["task_groups"][run.group]["tasks"])


def _recipe_problems(path: str, recipe: dict[str, Any]) -> Iterator[str]:
    parts = {name: recipe[name] for name in ("devices", "per_device_batch_size", "gradient_accumulation_steps")}
    product = math.prod(parts.values())
    if recipe["global_batch_size"] != product:
        yield (
            f"{path}.global_batch_size is {recipe['global_batch_size']}, but "
            f"{' × '.join(f'{name} {value}' for name, value in parts.items())} = {product}: make the two agree."
        )
    if recipe["devices"] % recipe["nodes"]:
        yield f"{path}.devices is {recipe['devices']}, which {recipe['nodes']} nodes cannot share equally: fix one."
    if recipe["optimizer"] == "adamw_offloaded" and recipe["engine"] != "deepspeed":
        yield f"{path}.optimizer is adamw_offloaded, which needs engine: deepspeed; set that, or another optimizer."
    late = [step for step in recipe["checkpoint_steps"] if recipe["max_steps"] and step > recipe["max_steps"]]
    if late and path == "finetuning":
        yield f"finetuning.checkpoint_steps has {late[0]}, beyond max_steps {recipe['max_steps']}: remove it."


def _cluster_problems(config: Config) -> Iterator[str]:
    for key, value in config["cluster"].items():
        if value == "None":  # how Snakemake hands on the null of a profile
            yield f'cluster.{key} is null in a profile: write "" where there is nothing to ask for.'
    gpu_type = config["cluster"]["gpu_type"] or ""
    if not re.fullmatch(r"[A-Za-z0-9_.]*", gpu_type):  # all that Snakemake's plugin for Slurm takes
        yield f"cluster.gpu_type is '{gpu_type}', which may have letters, digits, _ and . alone: leave it empty."
    # Jobs of a cluster may compute on the CPU and have to ask for a GPU all the same, where its partition wants that.
    idle = config["device"] == "cpu" and cluster.configured(config)
    if not idle and "gpu" in config["resources"].get("finetune", {}):
        yield "resources.finetune.gpu is not read, since finetuning.devices says how many GPUs a run takes: remove it."
    if not idle and config["device"] == "cpu" and any(size.get("gpu") for size in config["resources"].values()):
        yield "resources asks for GPUs, but device is cpu: set device to cuda or gpu to 0."
    asked = experiment.size(config, "ablate_heads")["gpu"]
    if asked > 1:
        where = "ablate_heads" if "gpu" in config["resources"].get("ablate_heads", {}) else "default"
        yield (
            f"resources.{where}.gpu is {asked}, but a job of ablate_heads computes on one GPU: set "
            "resources.ablate_heads.gpu to 1."
        )


def _size_problems(config: Config) -> Iterator[str]:
    """Sizes for the plan that cannot be: they would pass for knowledge."""
    yield from _unknown("plan.gpu", "type of GPU", config["plan"]["gpu"], costs.GPUS)
    for name, model in config["models"].items():
        size = model.get("size")
        if size is None:
            continue
        if set(model["source"]) & {"model", "path"}:
            yield f"models.{name}.size does not belong to a model whose files are read: remove it."
        if size["width"] % size["heads"]:
            yield (
                f"models.{name}.size.width is {size['width']}, no multiple of its {size['heads']} heads: it is query "
                "heads × head size."
            )
        least = 4 * size["layers"] * size["width"]  # narrower than any feed-forward block is
        if size["parameters"] < least:
            yield (
                f"models.{name}.size.parameters is {size['parameters']}, too few for {size['layers']} layers of width "
                f"{size['width']}: fix one."
            )
        if not size["parameters"] / 2 <= size.get("bytes", size["parameters"]) <= 8 * size["parameters"]:
            yield f"models.{name}.size.bytes is {size['bytes']} for {size['parameters']} parameters: fix one."
    for name, dataset in config["datasets"].items():
        size = dataset.get("size")
        if size is None:
            continue
        sampling = {**config["sampling"], **dataset.get("sampling", {})}
        if dataset.get("probe") and "probe" not in size:
            yield f"datasets.{name}.size lacks 'probe', the rows of its probe files: add it."
        held = sampling["train"] if sampling["probe"] is None else sampling["probe"]
        if not dataset.get("probe") and held and held >= size["train"]:
            yield f"datasets.{name}.size.train is {size['train']}, of which sampling takes {held}: nothing is left."


def _architecture(config: Config, model: str, at_hand: bool) -> dict[str, Any]:
    """Fields of a model's transformers config as far as that is at hand, and none elsewhere.

    Raises:
        InputError: a model of one's own whose config is no JSON.
    """
    source = config["models"][model]["source"]
    if "pretraining" in source:
        return config["pretraining"][source["pretraining"]]["architecture"]
    if not ("path" in source and at_hand):
        return {}
    file = Path(experiment.expand(source["path"], f"models.{model}.source.path")) / "config.json"
    try:
        return read_json(file)
    except ValueError:
        path = f"models.{model}.source.path"
        raise InputError(f"config key {path} holds {file}, which is not valid JSON: give a whole model.") from None


def _length_problems(config: Config, at_hand: bool) -> Iterator[str]:
    """Sequences beyond the positions of a model that some study selects, as far as its config is at hand."""
    for model in experiment.used_models(config):
        source = config["models"][model]["source"]
        lengths = {"tokenization.max_length": config["tokenization"]["max_length"]}
        if "pretraining" in source:
            lengths["pretraining_recipe.block_size"] = config["pretraining_recipe"]["block_size"]
        positions = _architecture(config, model, at_hand).get("max_position_embeddings")
        for key, length in lengths.items():
            if positions and length > positions:
                yield f"{key} is {length}, but models.{model} has {positions} positions: set it to {positions} or less."


def _model_problems(config: Config, path: str, source: dict[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in ("pretraining", "path", "hub", "model") if kind in source]
    if len(kinds) != 1:
        yield f"{path} must have exactly one of pretraining, path, hub and model{_merged(kinds)}."
        return
    companions = {"pretraining": {"step"}, "path": set(), "hub": {"revision"}, "model": {"run"}}[kinds[0]]
    yield from _companion_problems(path, kinds[0], companions, set(source))
    if kinds == ["model"]:
        yield from _earlier_run_problems(config, path, source)
    if kinds == ["pretraining"]:
        yield from _unknown(f"{path}.pretraining", "pretraining run", source["pretraining"], config["pretraining"])
        run = config["pretraining"][source["pretraining"]]
        steps = sorted({step for step in run["checkpoint_steps"] if step < run["steps"]} | {run["steps"]})
        if source["step"] not in steps:
            yield f"{path}.step is {source['step']}, but pretraining.{source['pretraining']} keeps the steps {steps}."


def _merged(kinds: list[str]) -> str:
    """Why there may be several where the user wrote one."""
    return f"; it has {' and '.join(kinds)} (an overlay merges with an entry of the same name: choose another name)" * (
        len(kinds) > 1
    )


def _earlier_run_problems(config: Config, path: str, source: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(f"{path}.model", "model", source["model"], config["models"])
    yield from _run_problems(config, f"{path}.run", source["run"])
    seen = [source["model"]]
    while (earlier := config["models"].get(seen[-1], {"source": {}})["source"].get("model")) is not None:
        if earlier in seen:
            yield f"{path}.model leads back to itself ({' → '.join([*seen, earlier])}): start from another."
            return
        seen.append(earlier)


def _rows_problems(path: str, source: dict[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in ("embedded", "path", "hub") if kind in source]
    if len(kinds) != 1:
        yield f"{path} must have exactly one of embedded, path and hub{_merged(kinds)}."
        return
    companions = {"embedded": {"file"}, "path": set(), "hub": {"split", "revision"}}[kinds[0]]
    optional = {"name"} if kinds == ["hub"] else set()
    yield from _companion_problems(path, kinds[0], companions, set(source) - optional)
    if kinds == ["embedded"]:
        yield from _unknown(f"{path}.embedded", "generator", source["embedded"], registry.GENERATORS)


def _missing_paths(config: Config) -> Iterator[str]:
    """Paths that lead nowhere, of the models and datasets that some study selects: others may lie on other machines."""
    for model in experiment.used_models(config):
        source = config["models"][model]["source"]
        if "path" in source:
            folder = Path(experiment.expand(source["path"], f"models.{model}.source.path"))
            if not (folder / "config.json").is_file():
                yield f"models.{model}.source.path is {folder}, which holds no model (no config.json): fix the path."
            elif not has_tokenizer(folder):
                yield f"models.{model}.source.path is {folder}, which holds no tokenizer: save the model's own there."
    for task in experiment.used_datasets(config):
        for split in ("train", "probe"):
            for place, source in enumerate(config["datasets"][task].get(split, [])):
                key = f"datasets.{task}.{split}[{place}].path"
                if "path" in source and not experiment.matches(path := experiment.expand(source["path"], key)):
                    yield f"{key} is {path}, where no file or folder is: fix the path."
    yield from _missing_opencompass(config)


def _mixed_rows(config: Config) -> Iterator[str]:
    """Datasets of one's own that kept a source of the embedded experiment's, of those that some study selects."""
    for task in experiment.used_datasets(config):
        kinds = {
            "embedded" in source for split in ("train", "probe") for source in config["datasets"][task].get(split, [])
        }
        if len(kinds) > 1:
            yield (
                f"datasets.{task} mixes the embedded experiment's rows with others (an overlay that says only train "
                "keeps the embedded probe): give both, or probe: [] to hold the probe set out of train."
            )


def _companion_problems(path: str, kind: str, companions: set[str], given: set[str]) -> Iterator[str]:
    for key in sorted(companions - given):
        yield f"{path} lacks '{key}', which a source of the kind {kind} needs: add it."
    for key in sorted(given - companions - {kind}):
        yield f"{path}.{key} does not belong to a source of the kind {kind}: remove it."


def _group_problems(config: Config, path: str, group: dict[str, Any]) -> Iterator[str]:
    yield from _unknown_in(f"{path}.tasks", "dataset", group["tasks"], config["datasets"])
    yield from _unknown_in(f"{path}.expected_pair", "dataset", group.get("expected_pair", []), config["datasets"])
    if "complex" in group:
        yield from _unknown(f"{path}.complex", "task of the group", group["complex"], group["tasks"])
        if len(group["tasks"]) < 2:
            yield f"{path}.tasks has no task besides the complex one: add the basic tasks."
        if group["complex"] in group.get("expected_pair", []):
            yield f"{path}.expected_pair names the complex task '{group['complex']}' itself: name two basic tasks."
