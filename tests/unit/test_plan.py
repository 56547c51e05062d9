"""The plan and the costs of an experiment, for a few jobs and results in the formats of Snakemake."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import scripts
from experiments import ONE_SEED, config_of, experiment_of
from gguf import GGMLQuantizationType
from gguf_files import model_of
from gguf_files import write as write_gguf
from refusals import assert_refusal, refusal

from headpatterns.errors import InputError
from headpatterns.experiment import checks, jobs, needed, timings, written
from headpatterns.experiment.experiment import Experiment
from headpatterns.experiment.jobs import Job
from headpatterns.models import conversion
from headpatterns.planning import courses, disk, estimates, formulas, summaries
from headpatterns.planning.sizes import Samples, Sizes
from headpatterns.planning.weights import from_files
from headpatterns.studies import load_studies

PAPER = "config/paper.yaml"
NOWHERE = Path("nowhere")
LLAMA3, SGSM = "llama3-8b", "nlp.sgsm.seed0"
BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def paper():
    """The paper's experiment with one of its three seeds."""
    return experiment_of(PAPER, ONE_SEED)


def meant(config):
    return Experiment(config, load_studies())


def job(rule, batch="", /, **wildcards):
    """A job as Snakemake lists it; `batch` is the batch of the runs that it works on."""
    parts = [f"seed{value}" if name == "seed" else value for name, value in wildcards.items()]
    name = ".".join([*parts[:1], *([batch] if batch else []), *parts[1:]])
    return Job(rule, name, f"{rule}/{name}.tsv" if name else f"{rule}.tsv", batch, wildcards)


def job_of(rule, experiment, model, run):
    """The job of a rule that works on a run."""
    found = experiment.run_named[model, run]
    batch = next(name for name, batch in experiment.batches.items() if found.training_set in batch.training_sets
                 and (model, found.seed) in batch.takers)  # fmt: skip
    return job(rule, batch, model=model, seed=str(found.seed))


def of_all_runs(rule, experiment):
    """The jobs of a rule for all runs of the experiment; several runs may share a job."""
    return list(dict.fromkeys(job_of(rule, experiment, *run) for run in experiment.run_named))


def evaluations(experiment):
    return [job("evaluate", model=model, batch=batch) for model, batch in experiment.evaluation_batches]


def preparations(experiment):
    return [job("prepare_instructions", dataset=dataset) for dataset in experiment.datasets]


def fetched(experiment, part):
    """The jobs that fetch the files of pinned datasets whose names contain `part`."""
    return [job("fetch_pinned", pinned=name) for name in needed.pinned(experiment.config) if part in name]


def fetched_models(experiment):
    return [job("fetch_model", model=model) for model in experiment.models]


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def options_of(experiment, planned, folder, output):
    """Write the config and the table of jobs of a script, and return its options."""
    written.write_config(folder / "config.yaml", experiment.given)
    jobs.write(folder / "jobs.csv", planned)
    return {"config": folder / "config.yaml", "jobs": folder / "jobs.csv", "results": folder / "results",
            "output": folder / output}  # fmt: skip


def plan(experiment, planned, tmp_path):
    """Run the script, and return its rows by rule and its Markdown."""
    scripts.run("plan", **options_of(experiment, planned, tmp_path, "plan"))
    return {row["rule"]: row for row in read(tmp_path / "plan.csv")}, (tmp_path / "plan.md").read_text(encoding="utf-8")


def seconds(experiment, planned):
    return estimates.seconds(Sizes(experiment, NOWHERE), planned)


def test_the_plan_of_the_paper(paper, tmp_path, capsys):
    planned = [*evaluations(paper), *fetched_models(paper), *of_all_runs("finetune", paper), job("render_report")]
    rows, text = plan(paper, planned, tmp_path)
    assert all(row["unknown_jobs"] == "0" for row in rows.values())
    assert (rows["finetune"]["gpus_a_job"], rows["evaluate"]["gpus_a_job"]) == ("4 to 8", "1")
    assert "What to check" not in text
    for word in ("## Formulas", "8,030,261,248", "published", "estimated", "## Downloads"):
        assert word in text
    printed = capsys.readouterr().out
    assert printed.partition("\nThe sizes")[0].strip() in text
    assert str(tmp_path / "plan.md") in printed


def test_rules_stand_in_the_order_of_the_workflow(paper, tmp_path):
    planned = [job("write_table1"), *evaluations(paper), job("collect_claims"), *of_all_runs("finetune", paper),
               *preparations(paper)]  # fmt: skip
    rows, _ = plan(paper, planned, tmp_path)
    assert list(rows) == ["prepare_instructions", "finetune", "evaluate", "collect_claims", "write_table1"]
    assert {rule: int(row["jobs"]) for rule, row in rows.items()} == {
        "prepare_instructions": len(paper.datasets),
        "finetune": len(paper.runs),
        "evaluate": len(paper.evaluation_batches),
        "collect_claims": 1,
        "write_table1": 1,
    }


def test_a_rule_without_an_estimate_takes_a_start(paper):
    planned = estimates.estimate(Sizes(paper, NOWHERE), job("write_table1"))
    assert (planned.gpus, planned.threads) == (0, paper.config.size("write_table1")["threads"])
    assert planned.seconds == paper.config.plan.start_seconds.other


def test_hours_of_a_fine_tuning_by_hand(paper):
    """SGSM on Llama3-8B: as many rows as ARC has, 180 tokens each, three epochs on eight GPUs."""
    sizes = Sizes(paper, NOWHERE)
    run = paper.run_named[LLAMA3, SGSM]
    trained = job_of("finetune", paper, LLAMA3, SGSM)
    parameters, tokens = 8_030_261_248, 3 * 3370 * 180
    assert courses.course(sizes, run, True) == (81, tokens, [4, 6, 8, 12, 16, 24, 32, 48, 64])
    assert courses.courses(sizes, trained) == [(run, courses.course(sizes, run, True))]
    operations = 4 * tokens * (2 * parameters + 2 * 32 * 4096 * 180)
    moved = parameters * (2 + 10 * 4 + 3 * 16)  # the model, its checkpoints in float32, and states every 25 steps
    expected = 60 + operations / (8 * 989e12 * 0.3) + moved / 1e9
    assert estimates.seconds(sizes, trained) == pytest.approx(expected)
    footprint_of_run = parameters * (10 * 4 + 3 * 16)
    for count, counted in ((1, 1), (3, 3), (10, 4)):
        [part] = [part for part in disk.parts(sizes, [trained] * count) if part.what == "runs at work"]
        assert part.bytes == counted * footprint_of_run


def test_hours_of_patterns_and_of_an_evaluation_by_hand(paper):
    parameters = 8_030_261_248
    operations = 2 * 512 * 180 * 11 * (2 * parameters + 2 * 32 * 4096 * 180)  # before, at nine steps, and after
    expected = 60 + operations / (67e12 * 0.5) + parameters * (2 + 10 * 4) / 1e9
    assert seconds(paper, job_of("extract_patterns", paper, LLAMA3, SGSM)) == pytest.approx(expected)
    pair = ("selection.physics-pattern-100.seed0", "mmlu-physics")
    [(model, batch)] = [place for place, pairs in paper.evaluation_batches.items()
                        if place[0] == "llama-7b" and pair in pairs]  # fmt: skip
    parameters = 6_738_415_616
    # Each item is read as a prompt, and with each of four options.
    prefill = 5 * 488 * 120 * (2 * parameters + 2 * 32 * 4096 * 120) / (989e12 * 0.3)
    decoding = 31 * 64 * 2 * parameters / (3350e9 * 0.15)  # 31 batches of 16, 64 tokens each
    expected = 60 + prefill + decoding + 4 * parameters / 1e9
    assert seconds(paper, job("evaluate", model=model, batch=batch)) == pytest.approx(expected)


def test_hours_without_a_gpu_by_hand():
    """SGSM on the embedded OPT: its threads do all operations."""
    experiment = experiment_of()
    sizes = Sizes(experiment, NOWHERE)
    trained = job_of("finetune", experiment, "opt", SGSM)
    size, threads = sizes.model("opt")[0], experiment.config.size("finetune")["threads"]
    total = 0.0
    for run, course in courses.courses(sizes, trained):
        length = sizes.training_set(run).tokens
        total += 3 * course.tokens * (2 * size.parameters + 2 * size.layers * size.width * length)
    assert estimates.speed(experiment, trained, 0.3, "bfloat16") == threads * experiment.config.plan.cpu_gflops * 1e9
    computing = total / (threads * experiment.config.plan.cpu_gflops * 1e9)
    start = experiment.config.plan.start_seconds.model
    assert start + computing < estimates.seconds(sizes, trained) < start + computing + 1  # and some reads and writes


def test_a_group_is_cut_to_its_smallest_set(paper):
    sizes = Sizes(paper, NOWHERE)

    def samples(model, run):
        return sizes.training_set(paper.run_named[model, f"{run}.seed0"]).count

    counts = {task: samples(LLAMA3, f"nlp.{task}") for task in ("math", "sgsm", "refgpt")}
    assert counts == dict.fromkeys(counts, 3370)
    assert samples(LLAMA3, "infinity.infinity-law") == 5000 - 512
    assert samples("llama-7b", "mixing.target") == 100
    assert samples("llama-7b", "mixing.random1-basic") == 2000
    assert samples("llama-7b", "mixing.random1") == 100
    assert samples("llama-7b", "selection.maths-random2-300") == 300
    assert samples("llama-7b", "selection.maths-pseudo-private") == 140
    assert sizes.samples(LLAMA3, "mathbench", "probe").count == 258


def test_what_the_experiment_has_made_is_measured(paper, tmp_path):
    write(tmp_path / "tokenized/llama3-8b/sgsm/train/report.json", {"kept": 1000, "tokens": 150000})
    write(tmp_path / "instructions/gsm8k/report.json", {"splits": {"train": {"kept": 7000}, "probe": {"kept": 500}}})
    write(tmp_path / "domains/maths/report.json", {"samples": {"pseudo_private": 9, "target": 8, "pool": 7}})
    sizes = Sizes(paper, tmp_path)
    assert sizes.samples(LLAMA3, "sgsm", "train") == Samples(1000, 150, "measured")
    assert sizes.samples("gemma-7b", "sgsm", "train").count == 20490 - 512  # another tokenizer
    assert sizes.samples(LLAMA3, "gsm8k", "probe") == Samples(500, 150, "measured rows")
    assert sizes.training_set(paper.run_named[LLAMA3, "nlp.gsm8k.seed0"]).count == 1000
    assert sizes.training_set(paper.run_named["llama-7b", "selection.maths-pseudo-private.seed0"]).count == 9


def test_a_model_on_the_disk(model_folder, tmp_path):
    from transformers import AutoModelForCausalLM

    size = from_files(model_folder)
    assert size.parameters == AutoModelForCausalLM.from_pretrained(model_folder).num_parameters()
    assert (size.layers, size.heads, size.width) == (3, 6, 24)
    assert size.bytes == (model_folder / "model.safetensors").stat().st_size
    shutil.copytree(model_folder, tmp_path / "broken")
    (tmp_path / "broken/model.safetensors").write_bytes(b"12")
    with refusal(str(tmp_path / "broken"), "the size of the model"):
        from_files(tmp_path / "broken")
    (tmp_path / "broken/model.safetensors").unlink()
    with refusal(str(tmp_path / "broken"), "has no weights"):
        from_files(tmp_path / "broken")


def test_a_model_in_a_gguf_file(tmp_path):
    """The plan takes the size of its folder from the file's header. The converted folder has this size."""
    from tokenizers_of_all_kinds import fast

    tokenizer = fast("gpt2")
    file = write_gguf(tmp_path / "tiny.gguf", model_of(len(tokenizer)), tokenizer, GGMLQuantizationType.Q8_0)
    overlay = {
        "models": {"small": {"label": "Small", "source": {"gguf": str(file)}}},
        "tokenization": {"max_length": 128},
        "studies": {"adaptation": {"models": ["small"]}, "validity": {"models": []}},
    }
    experiment = experiment_of(overlay, ONE_SEED)
    checks.check(experiment)
    results = tmp_path / "results"
    ahead, known = Sizes(experiment, results).model("small")
    assert (ahead.layers, ahead.heads, ahead.width, known) == (2, 4, 64, "GGUF header")
    assert ahead.bytes == 4 * ahead.parameters
    convert = job("convert_gguf", model="small")
    start, speed = experiment.config.plan.start_seconds.model, experiment.config.plan.disk_gb_per_second
    assert seconds(experiment, convert) == start + 2 * ahead.bytes / (1e9 * speed)
    (part,) = [part for part in disk.parts(Sizes(experiment, results), [convert]) if part.what == "models from GGUF"]
    assert (part.bytes, part.stays) == (ahead.bytes, "kept")
    conversion.convert(file, results / "models/small")
    there, known = Sizes(experiment, results).model("small")
    assert (replace(there, bytes=ahead.bytes), known) == (ahead, "measured")
    assert 0 <= there.bytes - ahead.bytes < 4096  # the header of the weights
    file.unlink()
    sizes = Sizes(experiment, tmp_path / "elsewhere")
    assert sizes.model("small")[0] is None
    assert sizes.missing["models.small.source.gguf"] == f"{file} does not exist yet"
    size = {"parameters": 10**6, "layers": 2, "heads": 4, "width": 64, "bytes": 4 * 10**6, "source": "published"}
    stated = Sizes(experiment_of(overlay, ONE_SEED, {"models": {"small": {"size": size}}}), tmp_path / "elsewhere")
    assert stated.model("small")[0].bytes == 4 * 10**6 and stated.model("small")[1] == "published"
    assert not stated.missing
    overlay["tokenization"]["max_length"] = 129
    write_gguf(file, model_of(len(tokenizer)), tokenizer)
    with refusal("tokenization.max_length", ("129", "models.small has 128 positions")):
        checks.check(experiment_of(overlay, ONE_SEED))


def test_the_plan_goes_on_without_a_size(tmp_path):
    config = config_of(PAPER, ONE_SEED)
    del (
        config["models"]["gemma-7b"]["size"],
        config["datasets"]["infinity-law"]["size"],
        config["domains"]["maths"]["size"],
    )
    experiment = meant(config)
    planned = [*preparations(experiment), *of_all_runs("finetune", experiment)]
    rows, text = plan(experiment, planned, tmp_path)
    for key in ("models.gemma-7b.size", "datasets.infinity-law.size", "domains.maths.size"):
        assert f"counted as 0: {key}; add it to the config." in text
    assert rows["prepare_instructions"]["unknown_jobs"] == "1"
    gemma = 7 + 7  # both groups of tasks
    infinity, private = 2 * 7, 3  # runs of the other two models, whose group cannot be cut; three runs of the selection
    assert rows["finetune"]["unknown_jobs"] == str(gemma + infinity + private)
    assert float(rows["finetune"]["gpu_hours"]) > 0
    for model in config["models"].values():
        model.pop("size", None)
    _, text = plan(meant(config), planned, tmp_path)
    assert re.search(r"\| finetune +\| +642 \| +4 to 8 \| +\? \| +\? \| +\? \| +\? \|", text)


def test_what_will_not_work_is_said(tmp_path):
    overlay = {
        "finetuning": {"engine": "pytorch", "devices": 1, "gradient_accumulation_steps": 32, "optimizer": "adamw"},
        "resources": {"finetune": {"runtime": 15}},
        "plan": {"gpu": "A100-40"},
    }
    small = {"plan": {"gpu": "A10", "download_mb_per_second": 1}, "evaluation": {"dtype": "float32"}}
    experiment = experiment_of(PAPER, ONE_SEED, overlay)
    planned = [job_of("finetune", experiment, LLAMA3, SGSM), job_of("extract_patterns", experiment, LLAMA3, SGSM),
               *evaluations(experiment), *fetched_models(experiment)]  # fmt: skip
    _, text = plan(experiment, planned, tmp_path)
    assert (
        "Training llama3-8b on 1 GPUs takes 128 GB of memory on each GPU before activations, but A100-40 has 40 "
        "GB: use more" in text
    )
    assert "A job of finetune takes up to 32 minutes, and resources.finetune.runtime asks for 15: raise it." in text
    problems = text.partition("## What to check")[2]
    assert "Taking the patterns" not in problems and "Evaluating" not in problems
    assert re.search(r"^\| Taking the patterns of llama3-8b in float32 +\| +32\.1 GB \|$", text, re.MULTILINE)
    _, text = plan(experiment_of(PAPER, small), planned, tmp_path)
    assert "Taking the patterns of llama3-8b in float32 takes 32 GB of memory on each GPU" in text
    assert "A10 has 24 GB: set patterns.dtype to bfloat16." in text
    assert "Evaluating llama-7b in float32 takes 27 GB of memory on each GPU" in text
    assert "resources.fetch_model.runtime" not in text  # a download is a local job, which Snakemake never ends


def test_checkpoint_steps_that_never_come_are_said(paper, tmp_path):
    """With the 2093 rows of SGSM that the hub has now, runs end after 3 epochs of ⌈1581 / 128⌉ steps."""
    planned = of_all_runs("finetune", paper)
    _, text = plan(paper, planned, tmp_path)
    assert "checkpoint_steps" not in text.partition("## What to check")[2]
    _, text = plan(experiment_of(PAPER, ONE_SEED, {"datasets": {"sgsm": {"size": {"train": 2093}}}}), planned, tmp_path)
    assert "finetuning.checkpoint_steps has 48, 64, but runs of the group nlp end after 39 steps: remove" in text


def test_seeds_multiply_the_work_of_runs(paper, tmp_path):
    def planned(experiment):
        work = [job for rule in ("finetune", "extract_patterns") for job in of_all_runs(rule, experiment)]
        return [*work, *fetched_models(experiment)]

    seeds = experiment_of(PAPER, ONE_SEED, {"seeds": [0, 1, 2]})
    once, _ = plan(paper, planned(paper), tmp_path)
    thrice, _ = plan(seeds, planned(seeds), tmp_path)
    for rule in ("finetune", "extract_patterns"):
        assert int(thrice[rule]["jobs"]) == 3 * int(once[rule]["jobs"])
        assert float(thrice[rule]["cpu_hours"]) == pytest.approx(3 * float(once[rule]["cpu_hours"]))
    assert thrice["fetch_model"] == once["fetch_model"]


def parts(experiment):
    """What all fine-tunings and evaluations store on the disk, by name."""
    planned = [*of_all_runs("finetune", experiment), *evaluations(experiment)]
    return {part.what: part for part in disk.parts(Sizes(experiment, NOWHERE), planned)}


def test_the_disk_follows_what_is_kept(paper):
    lean = parts(paper)
    assert "final checkpoints" not in lean and lean["runs at work"].stays == "temporary"
    all_kept = {"keep_final_checkpoints": True, "keep_intermediate_checkpoints": True}
    kept = parts(experiment_of(PAPER, ONE_SEED, {"finetuning": all_kept}))
    sizes = Sizes(paper, NOWHERE)
    assert kept["final checkpoints"].bytes == sum(4 * sizes.model(run.model)[0].parameters for run in paper.runs)
    states = {name: part.bytes for name, part in kept.items() if part.stays == "temporary"}
    # Only states are temporary: those of the four largest runs, which are Gemma's, with 105 steps.
    assert states == {"runs at work": 4 * 3 * 16 * 8_537_680_896}
    half = parts(
        experiment_of(PAPER, ONE_SEED, {"finetuning": {"checkpoint_dtype": "bfloat16", "keep_final_checkpoints": True}})
    )
    assert half["final checkpoints"].bytes == kept["final checkpoints"].bytes / 2
    single = parts(experiment_of(PAPER, ONE_SEED, {"plan": {"parallel_jobs": 1}}))
    assert single["runs at work"].bytes == lean["runs at work"].bytes / 4


def test_checkpoints_that_wait(paper):
    assert "final checkpoints that wait for others" not in parts(paper)
    config = config_of(PAPER)
    config["evaluation"]["checkpoints_per_job"] = 2
    config["studies"]["benchmarks"] = {
        "checkpoints": [
            {"model": "gemma-7b", "run": run} for run in ("base", "nlp.math.seed0", "nlp.arc.seed0", "nlp.sgsm.seed0")
        ],
        "sets": ["own"],
    }
    config["evaluation"]["sets"] = {"own": {"dataset": "gsm8k"}}
    for study in ("competence", "mixing", "selection"):
        config["studies"][study]["models"] = []
    # One job reads the base model and one run. The next reads two runs, and the first waits for the second.
    waiting = parts(meant(config))
    assert waiting["final checkpoints that wait for others"].bytes == 2 * 4 * 8_537_680_896
    config["models"]["two"] = {"label": "x", "source": {"model": "gemma-7b", "run": "nlp.math.seed0"}}
    config["studies"]["adaptation"]["models"].append("two")
    waiting = parts(meant(config))
    assert waiting["final checkpoints that are models of other runs"].bytes == 4 * 8_537_680_896


def test_a_model_of_the_hub_that_lends_its_chat_template_is_a_download(tmp_path):
    lent = {
        "prompt_template": "chat",
        "finetuned": {
            "chat": {"label": "Chat", "base": "llama3-8b", "source": {"hub": "a/b", "revision": "c"}, "bytes": 7}
        },
        "models": {"llama3-8b": {"chat_template": "chat"}},
    }
    experiment = experiment_of("config/paper.yaml", lent)
    planned = [job("fetch_model", model="chat")]
    assert dict(disk.downloads(Sizes(experiment, tmp_path), planned)) == {"chat": 7}


def test_an_adapter_of_the_hub_is_a_download(tmp_path):
    def sizes_of(**given):
        lora = {"lora": {"hub": "a/b", "revision": "c"}}
        own = {"tuned": {"label": "Tuned", "base": "llama3-8b", "source": lora, **given}}
        return Sizes(experiment_of("config/paper.yaml", {"finetuned": own}), tmp_path)

    planned, known, unknown = [job("fetch_adapter", finetuned="tuned")], sizes_of(bytes=10**9), sizes_of()
    assert dict(disk.downloads(known, planned)) == {"tuned": 10**9}
    assert {part.what: part.bytes for part in disk.parts(known, planned)} == {"adapters of the hub": 10**9}
    assert seconds(known.experiment, planned[0]) == 1 + 10**9 / 50e6
    assert dict(disk.downloads(unknown, planned)) == {"tuned": None}
    assert list(unknown.missing) == ["finetuned.tuned.bytes"]
    (tmp_path / "adapters/tuned").mkdir(parents=True)
    assert not dict(disk.downloads(known, planned))


def test_downloads_that_are_there_are_not_counted(paper, tmp_path):
    sizes = Sizes(paper, tmp_path)
    planned = [*fetched_models(paper), *fetched(paper, "")]
    before = dict(disk.downloads(sizes, planned))
    assert before[LLAMA3] == 2 * 8_030_261_248
    assert before["gsm8k"] == 4 * 150 * (7473 + 1319)
    assert before["sgsm"] == 4 * 180 * 20490
    assert before["mathbench"] == 4 * 130 * 358
    assert not [name for name in before if name.startswith("infinity")]  # they are read from a local copy
    write(tmp_path / "raw/pinned/gsm8k/main/train-00000-of-00001.parquet", "")
    (tmp_path / "models" / LLAMA3).mkdir(parents=True)
    after = dict(disk.downloads(sizes, planned))
    assert before.keys() - after.keys() == {LLAMA3, "gsm8k"}


def test_a_split_of_the_hub_that_is_there_is_half_of_a_download(tmp_path):
    hub = {"hub": "openai/gsm8k", "name": "main", "revision": "0" * 40}
    rows = {"train": [{**hub, "split": "train"}], "probe": [{**hub, "split": "test"}]}
    experiment = experiment_of(PAPER, {"datasets": {"gsm8k": rows}})
    planned = [job("fetch_dataset", rows=rows) for rows in needed.hub_rows(experiment.config)]
    sizes = Sizes(experiment, tmp_path)
    assert dict(disk.downloads(sizes, planned)) == {"gsm8k": 4 * 150 * (7473 + 1319)}
    write(tmp_path / f"raw/hub/{planned[0].wildcards['rows']}.parquet", "")
    assert dict(disk.downloads(sizes, planned)) == {"gsm8k": 4 * 150 * (7473 + 1319) / 2}


def test_too_small_a_disk_is_refused(tmp_path):
    results = tmp_path / "results/mini"
    trained = of_all_runs("finetune", experiment_of())
    assert disk.check(experiment_of(), results, trained, set(trained)) == []
    experiment = experiment_of({"models": {"opt": {"size": {"parameters": 10**15, "layers": 4, "heads": 4,
                                                           "width": 64}}}})  # fmt: skip
    with pytest.raises(InputError) as refused:
        disk.check(experiment, results, trained, set(trained))
    assert "\n" not in str(refused.value)
    assert_refusal(str(refused.value), "plan.parallel_jobs", ("TB of disk", str(results), "free: lower"))
    evaluated = evaluations(experiment)
    assert disk.check(experiment, results, [*trained, *evaluated], set(evaluated)) == []
    # A resumed experiment that lacks only jobs of other models.
    assert disk.check(experiment, results, trained, {one for one in trained if one.wildcards["model"] != "opt"}) == []


def test_a_quota_counts_what_is_there(tmp_path):
    results = tmp_path / "results/mini"
    trained = of_all_runs("finetune", experiment_of())
    most = disk.peak(disk.parts(Sizes(experiment_of(), results), trained))
    experiment = experiment_of({"plan": {"disk_gb": 1.01 * most / 1e9}})
    disk.check(experiment, results, trained, set(trained))
    write(tmp_path / "results/another/file", "x" * int(0.02 * most))
    with refusal(str(results.parent), (" taken, has ", " free: lower", "plan.parallel_jobs")):
        disk.check(experiment, results, trained, set(trained))


def test_a_disk_check_says_what_it_does_not_know(tmp_path):
    config = config_of(PAPER)
    del config["models"]["gemma-7b"]["size"]
    config["models"]["llama-7b"] |= {"source": {"path": "$NOT_YET_SET/model"}}
    config["finetuning"]["checkpoint_dtype"] = "bfloat16"
    config["plan"]["parallel_jobs"] = 1
    for name in (LLAMA3, "opt-6_7b", "llama2-7b"):
        config["models"][name]["size"] |= {"parameters": 10**6, "bytes": 2 * 10**6}
    experiment = meant(config)
    trained = of_all_runs("finetune", experiment)
    unknown = disk.check(experiment, tmp_path, trained, set(trained))
    assert sorted(unknown) == ["models.gemma-7b.size", "models.llama-7b.source.path"]


def test_the_plan_before_data_and_models(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADPATTERNS_DATA", raising=False)
    config = config_of(PAPER)
    config["models"]["llama-7b"] = {"label": "Own", "source": {"path": str(tmp_path / "none")}}
    experiment = meant(config)
    checks.check(experiment)
    rows, text = plan(experiment, of_all_runs("finetune", experiment), tmp_path)
    assert f"models.llama-7b.source.path; {tmp_path / 'none'} has no model yet." in text
    assert int(rows["finetune"]["unknown_jobs"]) > 0


def test_hours_of_preparing_rows_by_hand(paper):
    assert seconds(paper, job("prepare_instructions", dataset="gsm8k")) == 1 + 4 * 150 * (7473 + 1319) / 5e6
    tokenized = job("tokenize_instructions", tokenizer=LLAMA3, dataset="gsm8k", split="train")
    assert seconds(paper, tokenized) == 60 + 150 * 7473 / 5e5
    [rows] = fetched(paper, "gsm8k")
    assert seconds(paper, rows) == 1 + 4 * 150 * (7473 + 1319) / 50e6
    assert seconds(paper, job("fetch_model", model=LLAMA3)) == 1 + 2 * 8_030_261_248 / 50e6


def test_threads_are_those_of_all_machines(paper):
    two = experiment_of(PAPER, ONE_SEED, {"finetuning": {"nodes": 2}})
    trained = job_of("finetune", paper, LLAMA3, SGSM)
    assert estimates.threads(two, trained) == 2 * estimates.threads(paper, trained)
    assert estimates.threads(two, trained) == 2 * paper.config.size("finetune")["threads"]
    assert estimates.gpus(two, trained) == estimates.gpus(paper, trained) == paper.config.finetuning.devices


@pytest.mark.parametrize(
    ("overlay", "key", "hint"),
    [
        ({"plan": {"gpu": "H10"}}, "plan.gpu", ("unknown type of GPU 'H10'", "did you mean 'H100'?")),
        ({"plan": {"utilisation": {"training": 1.5}}}, "plan.utilisation.training", ("1.5", "maximum")),
        ({"models": {"llama-7b": {"size": {"width": 4001}}}}, "models.llama-7b.size.width", ("4001", "multiple of")),
        ({"models": {"llama-7b": {"size": {"parameters": 7}}}}, "models.llama-7b.size.parameters", "too few for 32"),
        (
            {"models": {"llama-7b": {"size": {"hidden": 6_400_000}}}},
            "models.llama-7b.size.hidden",
            ("6400000", "more parameters", "6738415616"),
        ),
        ({"models": {"llama-7b": {"size": {"bytes": 7}}}}, "models.llama-7b.size.bytes", "7 for 6738415616"),
        (
            {"datasets": {"mathbench": {"expected": {"train": 200}}}},
            "datasets.mathbench.expected.train",
            ("200", "sampling keeps 100"),
        ),
        ({"datasets": {"sgsm": {"size": {"train": 500}}}}, "datasets.sgsm.size.train", ("500", "sampling takes 512")),
        ({"datasets": {"sgsm": {"size": {"rows": 5}}}}, "datasets.sgsm.size.rows", "valid are: train, probe"),
    ],
    ids=str,
)
def test_sizes_that_make_no_sense(overlay, key, hint):
    with refusal(f"config key {key}", hint):
        checks.check(experiment_of(PAPER, overlay))


def test_a_probe_size_that_is_missing():
    config = config_of(PAPER)
    del config["datasets"]["gsm8k"]["size"]["probe"]
    with refusal("datasets.gsm8k.size", "lacks 'probe'"):
        checks.check(meant(config))


@pytest.mark.parametrize(
    ("planned", "named"),
    [
        (job("finetune", "nlp_gone", model="opt", seed="0"), "nlp_gone"),
        (job("fetch_model", model="gone"), "gone"),
        (job("evaluate", model="opt", batch="mixing.seed9.0"), "mixing.seed9.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.rule,
)
def test_a_table_of_jobs_of_another_config(planned, named, tmp_path):
    jobs.write(tmp_path / "jobs.csv", [planned])
    with refusal(str(tmp_path / "jobs.csv"), (planned.rule, f"'{named}'", "with this config")):
        summaries.read_jobs(experiment_of(), tmp_path / "jobs.csv")


@pytest.fixture
def half_done(tmp_path):
    """Results of the embedded experiment with two finished fine-tunings, and the file of a job that it lacks."""
    experiment = experiment_of()
    trained = of_all_runs("finetune", experiment)
    for one, taken in zip(sorted(trained, key=lambda one: one.name), (90, 30), strict=False):
        line = f"{taken}\t0:00:00\t{500 + taken}.4\t1\t1\t1\t0\t0\t99\t60\n"
        write(tmp_path / "results/benchmarks" / one.benchmark, BENCHMARK + line)
    write(tmp_path / "results/benchmarks/finetune/gone.tsv", f"{BENCHMARK}9999\t0\t9999\t1\t1\t1\t0\t0\t99\t9999\n")
    return experiment, trained, tmp_path


def test_the_costs_of_what_is_done(half_done, capsys):
    experiment, trained, folder = half_done
    listed = [*trained, *evaluations(experiment), job("generate_raw_data", generator="gsm8k"), job("all")]
    scripts.run("costs", **options_of(experiment, listed, folder, "costs"))
    rows = {row["rule"]: row for row in read(folder / "costs.csv")}
    finetune = {name: float(value or "nan") for name, value in rows["finetune"].items() if name != "rule"}
    assert (finetune["done"], finetune["jobs"]) == (2, len(trained))
    assert finetune["hours"] == pytest.approx(120 / 3600)
    assert finetune["cpu_hours"] == pytest.approx(120 / 3600)
    assert finetune["peak_memory_mb"] == 590
    planned = [one.seconds for one in summaries.estimates(Sizes(experiment, folder / "results"), trained)]
    assert finetune["planned_hours"] * 3600 == pytest.approx(sum(planned[:2]))
    assert finetune["ratio"] == pytest.approx(120 / sum(planned[:2]))
    assert finetune["hours_to_go"] * 3600 == pytest.approx(sum(planned[2:]) * finetune["ratio"])
    assert rows["evaluate"]["done"] == "0" and "generate_raw_data" not in rows
    assert capsys.readouterr().out.strip() == (folder / "costs.md").read_text(encoding="utf-8").strip()


def test_gpu_hours_are_those_of_the_gpus_asked_for(paper, tmp_path):
    trained = job_of("finetune", paper, LLAMA3, SGSM)
    write(tmp_path / "results/benchmarks" / trained.benchmark, f"{BENCHMARK}3600\t0\t1\t1\t1\t1\t0\t0\t99\t60\n")
    scripts.run("costs", **options_of(paper, [trained], tmp_path, "costs"))
    [row] = [row for row in read(tmp_path / "costs.csv") if row["rule"] == "finetune"]
    assert float(row["gpu_hours"]) == paper.config.finetuning.devices


def test_costs_before_anything_is_done(capfd, monkeypatch, tmp_path):
    experiment = experiment_of()
    options = options_of(experiment, of_all_runs("finetune", experiment), tmp_path, "costs")
    sentence = scripts.refused(capfd, monkeypatch, "costs", **options)
    assert "no job of the experiment mini is done" in sentence
    nowhere = tmp_path / "nothing.csv"
    assert_refusal(scripts.refused(capfd, monkeypatch, "plan", **options | {"jobs": nowhere}), str(nowhere), "again")
    nowhere = tmp_path / "nothing.yaml"
    assert_refusal(scripts.refused(capfd, monkeypatch, "plan", **options | {"config": nowhere}), str(nowhere), "again")


def test_timings_count_only_jobs_that_the_config_has(half_done):
    _, trained, folder = half_done
    [row] = timings.rows(timings.measured(folder / "results/benchmarks", trained))
    assert (row["rule"], row["jobs"], row["wall_minutes"], row["longest_job_seconds"]) == ("finetune", 2, 2.0, 90.0)


def ablations_on_disk(experiment, ablated):
    [part] = [part for part in disk.parts(Sizes(experiment, NOWHERE), [ablated]) if part.what == "ablations"]
    return part


def test_hours_and_disk_of_ablations_by_hand(paper):
    """SGSM on Llama3-8B: 32 samples of 180 tokens under 1 + 1024 + 12 × 8 settings, and patterns of 32, all twice.

    Of the nine group sizes, groups of one head are single heads, which need no new pass; their changes are stored too.
    """
    ablated = job_of("ablate_heads", paper, LLAMA3, SGSM)
    assert courses.runs_of(paper, ablated) == [paper.run_named[LLAMA3, SGSM]]
    parameters = 8_030_261_248
    passes = 1 + 32 * 32 + 12 * 8 + 2
    operations = 2 * passes * 32 * 180 * (2 * parameters + 2 * 32 * 4096 * 180)
    expected = 60 + operations / (67e12 * 0.5) + parameters * (2 + 4) / 1e9
    assert seconds(paper, ablated) == pytest.approx(expected)
    assert (estimates.gpus(paper, ablated), estimates.threads(paper, ablated)) == (1, 8)
    part = ablations_on_disk(paper, ablated)
    assert (part.bytes, part.stays) == (2 * 4 * 32 * (1024 + 12 * 9 + 3 * 1024), "kept")


def test_small_probe_sets_and_groups_of_all_heads_by_hand():
    """ARC on Llama3-8B with 33 probe rows: 16 rows have 1 + 1024 + 12 × 1 + 1 ablations, and 17 have patterns."""
    experiment = experiment_of(
        PAPER,
        {"datasets": {"arc": {"sampling": {"train": 512, "probe": 33}}}},
        {"studies": {"validity": {"top": [1, 7, 1024]}}},
    )
    sizes = Sizes(experiment, NOWHERE)
    ablated = job_of("ablate_heads", experiment, LLAMA3, "nlp.arc.seed0")
    [(_, samples)] = sizes.probes(experiment.run_named[LLAMA3, "nlp.arc.seed0"])
    assert samples.count == 33
    parameters, tokens = 8_030_261_248, samples.tokens
    forward = tokens * (2 * parameters + 2 * 32 * 4096 * tokens)
    operations = 2 * forward * (16 * (1 + 1024 + 12 + 1) + 17 * 2)
    assert seconds(experiment, ablated) == pytest.approx(60 + operations / (67e12 * 0.5) + parameters * 6 / 1e9)
    assert ablations_on_disk(experiment, ablated).bytes == 2 * 4 * (16 * (1024 + 12 * 3) + 17 * 3 * 1024)


def test_runs_of_a_job_are_ablated_from_one_model():
    """The model is read once for all runs of a job, and the last checkpoint of each run once."""
    together, apart = experiment_of(), experiment_of({"finetuning": {"runs_per_job": 1}})
    ablated = of_all_runs("ablate_heads", together)
    shared, runs = next((one, runs) for one in ablated if len(runs := courses.runs_of(together, one)) > 1)
    start = together.config.plan.start_seconds.model
    model, _ = Sizes(together, NOWHERE).model(runs[0].model)
    alone = sum(seconds(apart, job_of("ablate_heads", apart, run.model, run.name)) - start for run in runs)
    read_once = (len(runs) - 1) * model.bytes / (together.config.plan.disk_gb_per_second * 1e9)
    assert seconds(together, shared) - start == pytest.approx(alone - read_once)


def test_ablations_follow_the_study():
    def ablating(samples):
        study = {"models": ["opt"], "tasks": ["arc", "sgsm"], "samples": samples}
        return experiment_of(ONE_SEED, {"studies": {"validity": study}})

    experiment = ablating(10**6)
    ablated = [one for one in of_all_runs("ablate_heads", experiment) if one.wildcards["model"] == "opt"]
    runs = [run.name for one in ablated for run in courses.runs_of(experiment, one)]
    assert runs == ["nlp.arc.seed0", SGSM]
    whole = job_of("ablate_heads", experiment, "opt", "nlp.arc.seed0")
    probed = seconds(experiment, whole)
    assert seconds(ablating(32), whole) == probed  # the probe set has 64, in two halves
    assert seconds(ablating(31), whole) < probed


def test_hours_of_transfer_and_of_transplants_by_hand():
    """MATH, SGSM, ARC on Llama3-8B: each probe set under four models, and 32 samples of SGSM under 2 × 32 choices."""
    studies = {
        "transfer": {"models": [LLAMA3], "tasks": ["math", "sgsm", "arc"]},
        "transplant": {"models": [LLAMA3], "tasks": ["sgsm"], "rankings": ["change", "weights"], "samples": 32,
                       "draws": 4, "sizes": [1, 2, 4, 8, 16]},
    }  # fmt: skip
    experiment = experiment_of(PAPER, {"studies": studies})
    sizes, parameters = Sizes(experiment, NOWHERE), 8_030_261_248
    probed = [sizes.samples(LLAMA3, task, "probe") for task in ("math", "sgsm", "arc")]
    operations = sum(4 * one.count * one.tokens * (2 * parameters + 2 * 32 * 4096 * one.tokens) for one in probed)
    taken = job("transfer_losses", model=LLAMA3, seed="0")
    assert seconds(experiment, taken) == pytest.approx(60 + operations / (67e12 * 0.5) + parameters * (2 + 3 * 4) / 1e9)
    moved = job("transplant_heads", model=LLAMA3, seed="0")
    operations = 2 * (2 + 6 * 5) * 32 * 180 * (2 * parameters + 2 * 32 * 4096 * 180)
    assert seconds(experiment, moved) == pytest.approx(60 + operations / (67e12 * 0.5) + parameters * (2 + 4) / 1e9)
    assert (estimates.gpus(experiment, taken), estimates.gpus(experiment, moved)) == (1, 1)


def test_hours_of_less_by_hand():
    """Two epochs on a tenth of the pool, and a forward and backward pass after each: 2.2 passes, and the projection.

    Adapters of rank 4 on the attention of 32 layers of 4096 have 8·4·4096·32 weights, each projected to 1024 numbers.
    """
    own = {"warm_up": 0.1, "epochs": 2, "dimension": 1024, "lora": {"rank": 4, "target_modules": ["q_proj"]}}
    study = {"models": [LLAMA3], "methods": ["pattern", "rds"], "less": own}
    without, with_less = (
        experiment_of(PAPER, {"studies": {"selection": study | {"methods": [*study["methods"], *more], "scored": []}}})
        for more in ([], ["less"])
    )
    known = Sizes(with_less, NOWHERE).samples(LLAMA3, "mmlu", "probe")
    forward = known.count * known.tokens * (2 * 8_030_261_248 + 2 * 32 * 4096 * known.tokens)
    projected = 2 * known.count * 2 * 8 * 4 * 4096 * 32 * 1024
    read = job("read_candidates", model=LLAMA3, base="base")
    added = seconds(with_less, read) - seconds(without, read)
    assert added == pytest.approx((2 * 1.1 * 2 * forward + projected) / (67e12 * 0.5))


def test_disk_of_features_by_hand():
    """Each of 15858 rows has a hidden state of 4096 and a loss. LESS adds two vectors for each sample that it compares.

    These are 307 pseudo-private samples and all 14042 rows, from which each domain leaves out its own.
    """
    own = {"epochs": 2, "dimension": 1024, "lora": {"rank": 4, "target_modules": ["q_proj"]}}
    study = {"models": [LLAMA3], "less": own, "scored": []}
    read = job("read_candidates", model=LLAMA3, base="base")
    found = []
    for methods in (["pattern", "rds"], ["pattern", "less"]):
        experiment = experiment_of(PAPER, {"studies": {"selection": study | {"methods": methods}}})
        (part,) = disk.parts(Sizes(experiment, NOWHERE), [read])
        found.append((part.what, part.stays, part.bytes))
    states = (1816 + 14042) * (4096 * 4 + 8)
    gradients = 2 * 1024 * 4 * (140 + 69 + 40 + 58 + 14042)
    assert found == [("features of candidates", "kept", states), ("features of candidates", "kept", states + gradients)]


def test_hidden_states_may_be_narrower_than_all_heads():
    """Gemma has 16 heads of size 256. Its features are hidden states of size 3072. Heads project between both sizes."""
    gemma = "gemma-7b"
    study = {"models": [gemma], "methods": ["pattern", "rds"], "scored": []}
    experiment = experiment_of(PAPER, {"studies": {"selection": study}})
    sizes = Sizes(experiment, NOWHERE)
    (part,) = disk.parts(sizes, [job("read_candidates", model=gemma, base="base")])
    count = sum(sizes.samples(gemma, "mmlu", split).count for split in ("train", "probe"))
    assert part.bytes == count * (3072 * 4 + 8)
    model, _ = sizes.model(gemma)
    assert formulas.attention(model) == 4 * 28 * 4096 * 3072
    embedded = formulas.model(config_of({})["pretraining"]["gemma"]["architecture"], 100)
    assert (embedded.width, embedded.hidden) == (8 * 16, 64)


def test_checkpoints_wait_for_those_that_are_read_together():
    studies = {"transfer": {"models": [LLAMA3], "tasks": ["math", "sgsm", "arc"]}, "validity": {"models": []},
               **{name: {"models": []} for name in ("competence", "mixing", "selection")}}  # fmt: skip
    experiment = experiment_of(PAPER, {"studies": studies})
    planned = [*of_all_runs("finetune", experiment), job("transfer_losses", model=LLAMA3, seed="0")]
    found = {part.what: part.bytes for part in disk.parts(Sizes(experiment, NOWHERE), planned)}
    assert found["final checkpoints that wait for others"] == 3 * 4 * 8_030_261_248
