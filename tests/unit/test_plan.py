"""The plan of an experiment and its costs, from configs and results as the workflow writes them."""

import csv
import json
import re
import shutil

import pytest
import scripts
from project import config_in
from refusals import assert_refusal, refusal
from test_readme import merged

from headpatterns import timings
from headpatterns.errors import InputError
from headpatterns.experiment import checks as config_checks
from headpatterns.experiment import config as experiment
from headpatterns.experiment.runs import Run
from headpatterns.planning import disk as footprint
from headpatterns.planning import estimates as planning
from headpatterns.planning.jobs import jobs
from headpatterns.planning.sizes import Sizes, from_files

RULES = ["finetune", "extract_patterns", "ablate_heads", "pretrain"]
BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def config_of(*overlays):
    config = config_in("config.yaml")
    for overlay in overlays:
        config = merged(config, config_in(overlay) if isinstance(overlay, str) else overlay)
    return config


@pytest.fixture
def paper():
    return config_of("config/paper.yaml")


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def plan(config, tmp_path):
    """Run the script; the rows by rule, and the Markdown."""
    experiment.write_config(tmp_path / "config.yaml", config)
    results = tmp_path / "results"
    scripts.run("plan", config=tmp_path / "config.yaml", results=results, output=tmp_path / "plan")
    return {row["rule"]: row for row in read(tmp_path / "plan.csv")}, (tmp_path / "plan.md").read_text(encoding="utf-8")


def test_the_plan_of_the_paper(paper, tmp_path, capsys):
    rows, text = plan(paper, tmp_path)
    assert all(row["unknown_jobs"] == "0" for row in rows.values())
    assert (rows["finetune"]["gpus_a_job"], rows["evaluate"]["gpus_a_job"]) == ("4 to 8", "1")
    assert "To see to" not in text
    for word in ("## Formulas", "8,030,261,248", "published", "estimated", "## Downloads"):
        assert word in text
    printed = capsys.readouterr().out
    assert printed.partition("\nThe sizes")[0].strip() in text
    assert str(tmp_path / "plan.md") in printed


def test_hours_of_a_fine_tuning_by_hand(paper):
    """SGSM on Llama3-8B: 2093 rows, 512 of them held out, 180 tokens each, three epochs on eight GPUs."""
    sizes = Sizes(paper, "nowhere")
    run = Run("llama3-8b", "nlp", "sgsm", 0)
    job = next(job for job in jobs(paper) if job.rule == "finetune" and run in job.about.runs)
    parameters, tokens = 8_030_261_248, 3 * 1581 * 180
    assert planning.course(paper, sizes, run, True) == (39, tokens, [4, 6, 8, 12, 16, 24, 32])
    operations = 4 * tokens * (2 * parameters + 2 * 32 * 4096 * 180)
    moved = parameters * (2 + 8 * 4 + 16)  # the model, its checkpoints in float32, and the state of step 25
    seconds = 60 + operations / (8 * 989e12 * 0.3) + moved / 1e9
    assert planning.seconds(paper, sizes, job) == pytest.approx(seconds)
    footprint_of_run = parameters * (8 * 4 + 16)
    another = job._replace(name="another")
    for planned, counted in (([job], 1), ([job] + 2 * [another], 3), ([job] + 9 * [another], 4)):
        [part] = [part for part in footprint.parts(paper, sizes, planned) if part.what == "runs at work"]
        assert part.bytes == counted * footprint_of_run


def test_hours_of_patterns_and_of_an_evaluation_by_hand(paper):
    sizes = Sizes(paper, "nowhere")
    run = Run("llama3-8b", "nlp", "sgsm", 0)
    job = next(job for job in jobs(paper) if job.rule == "extract_patterns" and run in job.about.runs)
    parameters = 8_030_261_248
    operations = 2 * 512 * 180 * 9 * (2 * parameters + 2 * 32 * 4096 * 180)  # before, seven on the way, after
    seconds = 60 + operations / (67e12 * 0.5) + parameters * (2 + 8 * 4) / 1e9
    assert planning.seconds(paper, sizes, job) == pytest.approx(seconds)
    evaluated = Run("llama-7b", "selection", "physics-pattern-100", 0)
    job = next(
        job for job in jobs(paper) if job.rule == "evaluate" and (evaluated.name, "mmlu-physics") in job.about.sheet
    )
    parameters = 6_738_415_616
    prefill = 488 * 120 * (2 * parameters + 2 * 32 * 4096 * 120) / (989e12 * 0.3)
    decoding = 31 * 64 * 2 * parameters / (3350e9 * 0.15)  # 31 batches of 16, 64 tokens each
    assert planning.seconds(paper, sizes, job) == pytest.approx(60 + prefill + decoding + 4 * parameters / 1e9)


def test_a_group_is_cut_to_its_smallest_set(paper):
    sizes = Sizes(paper, "nowhere")
    counts = {task: sizes.training_set(Run("llama3-8b", "nlp", task, 0)).count for task in ("math", "sgsm", "refgpt")}
    assert counts == dict.fromkeys(counts, 2093 - 512)
    assert sizes.training_set(Run("llama3-8b", "infinity", "infinity-law", 0)).count == 5000 - 512
    assert sizes.training_set(Run("llama-7b", "mixing", "target", 0)).count == 100
    assert sizes.training_set(Run("llama-7b", "mixing", "random1-basic", 0)).count == 2000
    assert sizes.training_set(Run("llama-7b", "selection", "maths-random2-300", 0)).count == 300
    assert sizes.training_set(Run("llama-7b", "selection", "maths-pseudo-private", 0)).count == 140
    assert sizes.samples("llama3-8b", "mathbench", "probe").count == 200


def test_what_the_experiment_has_made_is_measured(paper, tmp_path):
    write(tmp_path / "tokenized/llama3-8b/sgsm/train/report.json", {"kept": 1000, "tokens": 150000})
    write(tmp_path / "instructions/gsm8k/report.json", {"splits": {"train": {"kept": 7000}, "probe": {"kept": 500}}})
    write(tmp_path / "domains/maths/report.json", {"samples": {"pseudo_private": 9, "target": 8, "pool": 7}})
    sizes = Sizes(paper, tmp_path)
    assert sizes.samples("llama3-8b", "sgsm", "train") == (1000, 150, "measured")
    assert sizes.samples("gemma-7b", "sgsm", "train").count == 1581  # another tokenizer
    assert sizes.samples("llama3-8b", "gsm8k", "probe") == (500, 150, "measured rows")
    assert sizes.training_set(Run("llama3-8b", "nlp", "gsm8k", 0)).count == 1000
    assert sizes.training_set(Run("llama-7b", "selection", "maths-pseudo-private", 0)).count == 9


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
    with refusal(str(tmp_path / "broken"), "holds no weights"):
        from_files(tmp_path / "broken")


def test_the_plan_goes_on_without_a_size(paper, tmp_path):
    del (
        paper["models"]["gemma-7b"]["size"],
        paper["datasets"]["infinity-law"]["size"],
        paper["domains"]["maths"]["size"],
    )
    rows, text = plan(paper, tmp_path)
    for key in ("models.gemma-7b.size", "datasets.infinity-law.size", "domains.maths.size"):
        assert f"counted as nothing: {key}; add it to the config." in text
    assert rows["prepare_instructions"]["unknown_jobs"] == "1"
    gemma = 7 + 7  # both groups of tasks
    infinity, private = 2 * 7, 3  # of the other two models, whose group cannot be cut; the three of the selection
    assert rows["finetune"]["unknown_jobs"] == str(gemma + infinity + private)
    assert float(rows["finetune"]["gpu_hours"]) > 0
    for model in paper["models"].values():
        model.pop("size", None)
    _, text = plan(paper, tmp_path)
    assert re.search(r"\| finetune +\| +348 \| +4 to 8 \| +\? \| +\? \| +\? \| +\? \|", text)


def test_what_will_not_work_is_said(paper, tmp_path):
    overlay = {
        "finetuning": {"engine": "pytorch", "devices": 1, "gradient_accumulation_steps": 32, "optimizer": "adamw"},
        "resources": {"finetune": {"runtime": 30}},
        "plan": {"gpu": "A100-40"},
    }
    _, text = plan(merged(paper, overlay), tmp_path)
    assert "Training llama3-8b on 1 GPUs takes 128 GB of each GPU before activations; A100-40 has 40: use more" in text
    assert "minutes, and resources.finetune.runtime asks for 30: raise it." in text
    assert "Taking the patterns" not in text and "Evaluating" not in text
    small = {"plan": {"gpu": "A10", "download_mb_per_second": 1}, "evaluation": {"dtype": "float32"}}
    _, text = plan(merged(paper, small), tmp_path)
    assert "Taking the patterns of llama3-8b in float32 takes 32 GB of each GPU" in text
    assert "A10 has 24: set patterns.dtype to bfloat16." in text
    assert "Evaluating llama-7b in float32 takes 27 GB of each GPU" in text
    assert "resources.fetch_model.runtime" not in text  # a download runs beside Snakemake, which ends no job


def test_seeds_multiply_the_work_of_runs(paper, tmp_path):
    once, _ = plan(paper, tmp_path)
    thrice, _ = plan(merged(paper, {"seeds": [0, 1, 2]}), tmp_path)
    for rule in ("finetune", "extract_patterns", "select_samples"):
        assert int(thrice[rule]["jobs"]) == 3 * int(once[rule]["jobs"])
        assert float(thrice[rule]["cpu_hours"]) == pytest.approx(3 * float(once[rule]["cpu_hours"]))
    assert thrice["fetch_model"] == once["fetch_model"]


def parts(config):
    return {part.what: part for part in footprint.parts(config, Sizes(config, "nowhere"), jobs(config))}


def test_the_disk_follows_what_is_kept(paper):
    runs = experiment.needed_runs(paper)
    lean = parts(paper)
    assert "last checkpoints" not in lean and lean["runs at work"].stays == "temporary"
    kept = parts(merged(paper, {"finetuning": {"keep_final_checkpoints": True, "keep_intermediate_checkpoints": True}}))
    sizes = Sizes(paper, "nowhere")
    assert kept["last checkpoints"].bytes == sum(4 * sizes.model(run.model)[0].parameters for run in runs)
    states = {name: part.bytes for name, part in kept.items() if part.stays == "temporary"}
    # Nothing but states: of the four largest, which are Gemma's, with 105 steps.
    assert states == {"runs at work": 4 * 3 * 16 * 8_537_680_896}
    half = parts(merged(paper, {"finetuning": {"checkpoint_dtype": "bfloat16", "keep_final_checkpoints": True}}))
    assert half["last checkpoints"].bytes == kept["last checkpoints"].bytes / 2
    single = parts(merged(paper, {"plan": {"parallel_jobs": 1}}))
    assert single["runs at work"].bytes == lean["runs at work"].bytes / 4


def test_checkpoints_that_wait(paper):
    assert "last checkpoints that wait for an evaluation" not in parts(paper)
    paper["evaluation"]["checkpoints_per_job"] = 2
    paper["studies"]["benchmarks"] = {
        "checkpoints": [
            {"model": "gemma-7b", "run": run} for run in ("base", "nlp.math.seed0", "nlp.arc.seed0", "nlp.sgsm.seed0")
        ],
        "sets": ["own"],
    }
    paper["evaluation"]["sets"] = {"own": {"dataset": "gsm8k"}}
    paper["studies"]["mixing"]["models"], paper["studies"]["selection"]["models"] = [], []
    # The base model with one run, then two runs: the first of these waits for the second.
    assert parts(paper)["last checkpoints that wait for an evaluation"].bytes == 2 * 4 * 8_537_680_896
    paper["models"]["two"] = {"label": "x", "source": {"model": "gemma-7b", "run": "nlp.math.seed0"}}
    paper["studies"]["adaptation"]["models"].append("two")
    assert parts(paper)["last checkpoints that are models of other runs"].bytes == 4 * 8_537_680_896


def test_downloads_that_are_there_are_not_counted(paper, tmp_path):
    sizes = Sizes(paper, tmp_path)
    before = dict(footprint.downloads(paper, sizes))
    assert before["llama3-8b"] == 2 * 8_030_261_248
    assert before["gsm8k"] == 4 * 150 * (7473 + 1319)
    assert "sgsm" not in before
    rows = next(job.name for job in jobs(paper) if job.rule == "fetch_dataset" and "gsm8k" in job.name)
    write(tmp_path / f"raw/hub/{rows}.parquet", "")
    assert dict(footprint.downloads(paper, sizes))["gsm8k"] == before["gsm8k"] / 2


def test_too_small_a_disk_is_refused(tmp_path):
    config = config_of()
    results = tmp_path / "results/mini"
    trained = {f"{results}/benchmarks/{job.benchmark}" for job in jobs(config)}
    assert footprint.check(config, results, trained) == []
    large = {"parameters": 10**15, "layers": 4, "heads": 4, "width": 64}
    config["models"]["opt"]["size"] = large
    with pytest.raises(InputError) as refused:
        footprint.check(config, results, trained)
    assert "\n" not in str(refused.value)
    assert_refusal(str(refused.value), "plan.parallel_jobs", ("TB of disk", str(results), "free: lower"))
    footprint.check(config, results, {path for path in trained if "/finetune/" not in path})
    footprint.check(config, results, {path for path in trained if "/opt." not in path})  # a resume that lacks others


def test_a_quota_counts_what_is_there(tmp_path):
    config = config_of()
    results = tmp_path / "results/mini"
    trained = {f"{results}/benchmarks/{job.benchmark}" for job in jobs(config)}
    needed = footprint.peak(footprint.parts(config, Sizes(config, results), jobs(config)))
    config["plan"]["disk_gb"] = 1.01 * needed / 1e9
    footprint.check(config, results, trained)
    write(tmp_path / "results/another/file", "x" * int(0.02 * needed))
    with refusal(str(results.parent), (" taken, has ", " free: lower", "plan.parallel_jobs")):
        footprint.check(config, results, trained)


def test_a_disk_check_says_what_it_does_not_know(paper, tmp_path):
    del paper["models"]["gemma-7b"]["size"]
    trained = {f"{tmp_path}/benchmarks/{job.benchmark}" for job in jobs(paper) if job.about and job.rule == "finetune"}
    paper["models"]["llama-7b"]["source"] = {"path": "$NOT_YET_SET/model"}
    paper["finetuning"]["checkpoint_dtype"] = "bfloat16"
    paper["plan"]["parallel_jobs"] = 1
    for name in ("llama3-8b", "opt-6_7b", "llama2-7b"):
        paper["models"][name]["size"] |= {"parameters": 10**6, "bytes": 2 * 10**6}
    assert footprint.check(paper, tmp_path, trained) == ["models.gemma-7b.size", "models.llama-7b.source.path"]


def test_the_plan_before_data_and_models(paper, tmp_path, monkeypatch):
    monkeypatch.delenv("HEADPATTERNS_DATA", raising=False)
    paper["models"]["llama-7b"] = {"label": "Own", "source": {"path": str(tmp_path / "none")}}
    with refusal("models.llama-7b.source.path", (str(tmp_path / "none"), "which holds no model")):
        config_checks.check(paper, RULES)
    config_checks.check(paper, paper["resources"], at_hand=False)
    rows, text = plan(paper, tmp_path)
    assert f"models.llama-7b.source.path; {tmp_path / 'none'} holds no model yet." in text
    assert int(rows["finetune"]["unknown_jobs"]) > 0


def test_hours_of_preparing_rows_by_hand(paper):
    sizes = Sizes(paper, "nowhere")
    seconds = {(job.rule, job.name): planning.seconds(paper, sizes, job) for job in jobs(paper)}
    assert seconds["prepare_instructions", "gsm8k"] == 1 + 4 * 150 * (7473 + 1319) / 5e6
    assert seconds["tokenize_instructions", "llama3-8b.gsm8k.train"] == 60 + 150 * 7473 / 5e5
    [rows] = [name for rule, name in seconds if rule == "fetch_dataset" and "gsm8k" in name and ".train." in name]
    assert seconds["fetch_dataset", rows] == 1 + 4 * 150 * (7473 + 1319) / 2 / 50e6


def test_threads_are_those_of_all_machines(paper):
    job = next(job for job in jobs(paper) if job.rule == "finetune")
    one = planning.threads(paper, job)
    paper["finetuning"]["nodes"] = 2
    assert planning.threads(paper, job) == 2 * one == 2 * paper["resources"]["finetune"]["threads"]


@pytest.mark.parametrize(
    ("overlay", "key", "hint"),
    [
        ({"plan": {"gpu": "H10"}}, "plan.gpu", ("unknown type of GPU 'H10'", "did you mean 'H100'?")),
        ({"plan": {"utilisation": {"training": 1.5}}}, "plan.utilisation.training", ("1.5", "maximum")),
        ({"models": {"llama-7b": {"size": {"width": 4001}}}}, "models.llama-7b.size.width", ("4001", "multiple of")),
        ({"models": {"llama-7b": {"size": {"parameters": 7}}}}, "models.llama-7b.size.parameters", "too few for 32"),
        ({"models": {"llama-7b": {"size": {"bytes": 7}}}}, "models.llama-7b.size.bytes", "7 for 6738415616"),
        ({"datasets": {"sgsm": {"size": {"train": 500}}}}, "datasets.sgsm.size.train", ("500", "sampling takes 512")),
        ({"datasets": {"sgsm": {"size": {"rows": 5}}}}, "datasets.sgsm.size.rows", "valid are: train, probe"),
    ],
    ids=str,
)
def test_sizes_that_make_no_sense(paper, overlay, key, hint):
    with refusal(f"config key {key}", hint):
        config_checks.check(merged(paper, overlay), RULES)


def test_a_probe_size_that_is_missing(paper):
    del paper["datasets"]["gsm8k"]["size"]["probe"]
    with refusal("datasets.gsm8k.size", "lacks 'probe'"):
        config_checks.check(paper, RULES)


@pytest.fixture
def half_done(tmp_path):
    """Results of the embedded experiment, two fine-tunings of which are done, and a file of a job that it lacks."""
    config = config_of()
    experiment.write_config(tmp_path / "results/config.yaml", config)
    trained = [job for job in jobs(config) if job.rule == "finetune"]
    for job, seconds in zip(trained, (90, 30), strict=False):
        line = f"{seconds}\t0:00:00\t{500 + seconds}.4\t1\t1\t1\t0\t0\t99\t60\n"
        write(tmp_path / "results/benchmarks" / job.benchmark, BENCHMARK + line)
    write(tmp_path / "results/benchmarks/finetune/gone.tsv", f"{BENCHMARK}9999\t0\t9999\t1\t1\t1\t0\t0\t99\t9999\n")
    return config, tmp_path


def test_the_costs_of_what_is_done(half_done, capsys):
    config, folder = half_done
    scripts.run("costs", config=folder / "results/config.yaml", results=folder / "results", output=folder / "costs")
    rows = {row["rule"]: row for row in read(folder / "costs.csv")}
    finetune = {name: float(value or "nan") for name, value in rows["finetune"].items() if name != "rule"}
    assert (finetune["done"], finetune["jobs"]) == (2, 30)
    assert finetune["hours"] == pytest.approx(120 / 3600)
    assert finetune["cpu_hours"] == pytest.approx(120 / 3600)
    assert finetune["peak_memory_mb"] == 590
    estimates = [
        one for one in planning.estimates(config, Sizes(config, folder / "results")) if one.job.rule == "finetune"
    ]
    planned = [one.seconds for one in estimates]
    assert finetune["planned_hours"] * 3600 == pytest.approx(sum(planned[:2]))
    assert finetune["ratio"] == pytest.approx(120 / sum(planned[:2]))
    assert finetune["hours_to_go"] * 3600 == pytest.approx(sum(planned[2:]) * finetune["ratio"])
    assert rows["evaluate"]["done"] == "0" and "generate_raw_data" not in rows
    assert capsys.readouterr().out.strip() == (folder / "costs.md").read_text(encoding="utf-8").strip()


def test_gpu_hours_are_those_of_the_gpus_asked_for(paper, tmp_path):
    job = next(job for job in jobs(paper) if job.rule == "finetune")
    write(tmp_path / "results/benchmarks" / job.benchmark, f"{BENCHMARK}3600\t0\t1\t1\t1\t1\t0\t0\t99\t60\n")
    experiment.write_config(tmp_path / "config.yaml", paper)
    scripts.run("costs", config=tmp_path / "config.yaml", results=tmp_path / "results", output=tmp_path / "costs")
    [row] = [row for row in read(tmp_path / "costs.csv") if row["rule"] == "finetune"]
    assert float(row["gpu_hours"]) == paper["finetuning"]["devices"]


def test_costs_before_anything_is_done(capfd, monkeypatch, tmp_path):
    experiment.write_config(tmp_path / "config.yaml", config_of())
    options = {"config": tmp_path / "config.yaml", "results": tmp_path / "results", "output": tmp_path / "costs"}
    sentence = scripts.refused(capfd, monkeypatch, "costs", **options)
    assert "no job of the experiment mini is done" in sentence
    options["config"] = tmp_path / "nothing.yaml"
    assert "nothing.yaml cannot be read" in scripts.refused(capfd, monkeypatch, "plan", **options)


def test_timings_count_only_jobs_that_the_config_has(half_done):
    config, folder = half_done
    [row] = timings.rows(timings.measured(folder / "results/benchmarks", jobs(config)))
    assert (row["rule"], row["jobs"], row["wall_minutes"], row["longest_job_seconds"]) == ("finetune", 2, 2.0, 90.0)


def test_hours_and_disk_of_ablations_by_hand(paper):
    """SGSM on Llama3-8B: 32 samples of 180 tokens under 1 + 1024 + 12 × 8 settings, 32 in three patterns, twice.

    The groups of one head, of the nine sizes, are heads alone; their changes are kept all the same.
    """
    sizes = Sizes(paper, "nowhere")
    ablated = [job for job in jobs(paper) if job.rule == "ablate_heads"]
    assert len(ablated) == 3 * 7 and all(len(job.about.runs) == 1 for job in ablated)
    job = next(job for job in ablated if job.about.runs == [Run("llama3-8b", "nlp", "sgsm", 0)])
    parameters = 8_030_261_248
    passes = 1 + 32 * 32 + 12 * 8 + 3 * 2
    operations = 2 * passes * 32 * 180 * (2 * parameters + 2 * 32 * 4096 * 180)
    seconds = 60 + operations / (67e12 * 0.5) + parameters * (2 + 4) / 1e9
    assert planning.seconds(paper, sizes, job) == pytest.approx(seconds)
    assert (planning.gpus(paper, job), planning.threads(paper, job)) == (1, 8)
    [part] = [part for part in footprint.parts(paper, sizes, [job]) if part.what == "ablations"]
    assert (part.bytes, part.stays) == (2 * 4 * 32 * (1024 + 12 * 9 + 3 * 1024), "kept")


def test_small_probe_sets_and_groups_of_all_heads_by_hand(paper):
    """ARC on Llama3-8B, 33 probe rows: 16 are ablated, under 1 + 1024 + 12 × 1 + 1 settings, and 17 have patterns."""
    paper["datasets"]["arc"]["sampling"] = {"train": 512, "probe": 33}
    paper["studies"]["validity"]["top"] = [1, 7, 1024]
    sizes = Sizes(paper, "nowhere")
    run = Run("llama3-8b", "nlp", "arc", 0)
    job = next(job for job in jobs(paper) if job.rule == "ablate_heads" and job.about.runs == [run])
    [(_, samples)] = sizes.probes(run)
    assert samples.count == 33
    parameters, tokens = 8_030_261_248, samples.tokens
    forward = tokens * (2 * parameters + 2 * 32 * 4096 * tokens)
    operations = 2 * forward * (16 * (1 + 1024 + 12 + 1) + 17 * 3 * 2)
    assert planning.seconds(paper, sizes, job) == pytest.approx(60 + operations / (67e12 * 0.5) + parameters * 6 / 1e9)
    [part] = [part for part in footprint.parts(paper, sizes, [job]) if part.what == "ablations"]
    assert part.bytes == 2 * 4 * (16 * (1024 + 12 * 3) + 17 * 3 * 1024)


def test_runs_of_a_job_are_ablated_from_one_model():
    """The model itself is read once for all runs of a job, and each of their last checkpoints once."""
    config = config_of()
    sizes = Sizes(config, "nowhere")
    job = next(job for job in jobs(config) if job.rule == "ablate_heads" and len(job.about.runs) > 1)
    single = [job._replace(about=job.about._replace(runs=[run])) for run in job.about.runs]
    start = config["plan"]["start_seconds"]["model"]
    model, _ = sizes.model(job.about.runs[0].model)
    apart = sum(planning.seconds(config, sizes, one) - start for one in single)
    shared = (len(single) - 1) * model.bytes / (config["plan"]["disk_gb_per_second"] * 1e9)
    assert planning.seconds(config, sizes, job) - start == pytest.approx(apart - shared)


def test_ablations_follow_the_study():
    config = config_of({"studies": {"validity": {"models": ["opt"], "tasks": ["arc", "sgsm"], "samples": 10**6}}})
    ablated = [job for job in jobs(config) if job.rule == "ablate_heads"]
    runs = [run for job in ablated for run in job.about.runs]
    assert runs == [Run("opt", "nlp", "arc", 0), Run("opt", "nlp", "sgsm", 0)]
    sizes = Sizes(config, "nowhere")
    probed = planning.seconds(config, sizes, ablated[0])
    config["studies"]["validity"]["samples"] = 32  # the probe set has 64, in two halves
    assert planning.seconds(config, sizes, ablated[0]) == probed
    config["studies"]["validity"]["samples"] = 31
    assert planning.seconds(config, sizes, ablated[0]) < probed
    config["studies"]["validity"]["models"] = []
    rules = {job.rule for job in jobs(config)}
    assert not rules & {"ablate_heads", "analyse_validity", "draw_validity"} and "extract_patterns" in rules
