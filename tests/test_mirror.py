"""Tests mirror the package: a module's tests have its name and folder, or stand here with the reason."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent
PACKAGE = ROOT.parent / "cifake_ray"
LONGEST_NAME = 80  # characters of a test's name

# A test file, and the modules that it tests beside (or instead of) the one of its own name: they have no behaviour
# apart from what these tests hold, or need the same costly set-up.
TESTED_BY = {
    "cli/test_cli.py": ["__main__", *(f"cli/{verb}" for verb in ("app", "find", "machine", "read", "study"))],
    "data/audit/test_audit.py": ["cli/data", "data/audit/encoding", "data/audit/near_duplicates"],
    "data/audit/test_bias.py": ["data/audit/bias_text", "data/audit/properties"],
    "data/datasets/test_sample_native.py": ["data/audit/spectrum"],
    "data/datasets/test_fetch.py": ["data/datasets/card"],
    "data/decoding/test_decode.py": ["data/decoding/batches", "data/decoding/workers"],
    "data/sources/test_find.py": ["data/sources/folders"],
    "data/sources/test_layouts.py": [
        *(f"data/sources/{name}" for name in ("columns", "manifest", "parts", "reading")),
        *("data/datasets/tiny_genimage", "data/taken"),
    ],
    "data/test_images.py": ["data/build"],
    "data/test_splits.py": ["data/datasets/cifake", "data/datasets/generic", "data/pixels"],
    "data/test_table.py": ["data/facts"],
    "data/test_transform.py": ["fits"],
    "cli/test_show.py": ["cli/show_groups"],
    "e2e/test_leave_one_out.py": ["cli/leave_one_out"],
    "e2e/test_jobs.py": ["cli/cluster", "jobs/probe", "jobs/probe_nodes"],
    "e2e/test_nodes.py": ["tuning/ray_cluster/shared_storage"],
    "e2e/test_processes.py": ["tuning/ray_cluster/watchdog", "tuning/trial/workers"],
    "e2e/test_study.py": [
        f"tuning/{name}"
        for name in (
            "environment",
            "monitor/assembly",
            "request",
            "retraining",
            "single_trial",
            "study",
            "study_inputs",
        )
    ],
    "e2e/test_watch.py": ["reporting/dashboard"],
    "evaluation/test_detector.py": [f"detector/{name}" for name in ("load", "module", "note", "predict")],
    "evaluation/test_domain.py": ["detector/domain"],
    "evaluation/test_errors.py": ["evaluation/saliency"],
    "evaluation/test_testing.py": ["evaluation/evaluate", "evaluation/own_images"],
    "experiment/test_conditions.py": ["experiment/pairs", "experiment/space"],
    "experiment/test_several.py": [
        "experiment/keys",
        *(f"experiment/families/{name}" for name in ("backbone", "backbones", "timm")),
    ],
    "experiment/test_experiment.py": [
        f"experiment/{name}" for name in ("families/torchvision", "file", "model", "schema", "search", "training")
    ],
    "features/test_packed.py": ["features/decoding", "features/extraction", "features/places"],
    "jobs/test_cluster.py": ["jobs/client"],
    "jobs/test_manifest.py": ["cli/render"],
    "models/families/test_python.py": ["experiment/families/python"],
    "models/families/test_backbones.py": [
        *(f"models/families/{name}" for name in ("pretrained", "searched", "source")),
        "models/passes",
    ],
    "models/families/test_base.py": ["experiment/families/base", "models/registry"],
    "models/families/test_cnn.py": ["experiment/families/cnn", "models/network", "models/pooling"],
    "models/test_backbone.py": ["experiment/families/stages", "models/stage_table"],
    "models/test_download.py": ["storage/download"],
    "models/test_finetune.py": ["training/standardise"],
    "models/timm/test_network.py": ["models/timm/library"],
    "models/test_weights.py": ["models/published_weights", "models/weight_files"],
    "reporting/sections/test_certainty.py": ["reporting/sections/differences", "reporting/winners"],
    "reporting/sections/test_figures.py": [
        *("reporting/figures", "reporting/marks", "reporting/style"),
        *(
            f"reporting/sections/{topic}"
            for topic in (
                *("accuracy", "cost", "curves", "hyperparameters", "parallel", "probabilities"),
                *("robustness", "subjects", "timeline"),
            )
        ),
    ],
    "reporting/sections/test_sections.py": ["reporting/section"],
    "reporting/test_comparison.py": [
        *("reporting/terms", "reporting/writers/markdown"),
        *(
            f"reporting/sections/{topic}"
            for topic in ("limits", "commands", "environment", "evaluations", "head", "missing", "reading")
        ),
    ],
    "reporting/test_load.py": ["reporting/run_tables"],
    "reporting/test_report.py": [
        *("reporting/formatting", "reporting/writers/csv", "reporting/writers/html"),
        *("reporting/sections/errors", "reporting/sections/search", "reporting/sections/trials"),
    ],
    "runs/test_claim.py": ["storage/conditional_writes"],
    "runs/test_records.py": [
        f"runs/records/{name}"
        for name in (
            *("base", "bias", "blend", "decision", "environment", "evaluations", "leave_one_out", "model", "scores"),
            *("store", "warm_start", "winners"),
        )
    ],
    "runs/test_run.py": [f"runs/{name}" for name in ("columns", "commit", "names", "resume")],
    "training/test_fit.py": ["training/checkpoint"],
    "tuning/estimate/test_plan.py": ["tuning/estimate/timing"],
    "tuning/monitor/test_callback.py": ["tuning/trial/context", "tuning/trial/trainable"],
    "tuning/test_storage_faults.py": ["runs/faults"],
}


def mirror(module: str) -> Path:
    """The test file of a module of this path below the package, without `.py`."""
    path = ROOT / module
    return path.with_name(f"test_{path.name}.py")


def test_every_module_has_tests_of_its_name_or_is_tested_by_a_named_file() -> None:
    modules = {file.relative_to(PACKAGE).with_suffix("").as_posix() for file in PACKAGE.rglob("[!_]*.py")}
    modules |= {"__main__"}
    elsewhere = [module for tested in TESTED_BY.values() for module in tested]
    assert len(elsewhere) == len(set(elsewhere))
    assert {module for module in modules if not mirror(module).exists()} == set(elsewhere)


def test_every_file_that_tests_other_modules_exists() -> None:
    assert [file for file in TESTED_BY if not (ROOT / file).is_file()] == []


def test_names_of_tests_have_at_most_80_characters_and_are_unique_in_their_file() -> None:
    for file in ROOT.rglob("test_*.py"):
        functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
        names = [node.name for node in functions if node.name.startswith("test_")]
        assert [name for name in names if len(name) > LONGEST_NAME] == [], file
        assert len(names) == len(set(names)), file
