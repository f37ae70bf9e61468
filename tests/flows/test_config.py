"""The configuration: all problems at once, each with its place, what was seen and what is expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from flows.config.load import json_schema, load_project
from flows.config.messages import ConfigError
from flows.parts.nothing_to_do import effective
from flows.project import OpenProject
from model.spec import HeadSpec
from release.home import Home
from tests.support.scheduled_project import scheduled_config

ROOT = Path(__file__).resolve().parents[2]
SMALLEST = """
name: support
heads: {intent: multiclass}
sources:
  tickets: {path: tickets.csv, heads: {intent: intent}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "project.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_smallest_useful_file_is_a_name_heads_and_sources(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, SMALLEST))
    assert project.heads["intent"].kind == "multiclass"
    assert project.heads["intent"].primary_metric == "accuracy"
    assert project.backbone.name == "distilbert-base-uncased"
    assert project.gates.budget_p95_ms == 1000.0


def test_backbone_can_be_swapped_from_the_command_line(tmp_path: Path) -> None:
    text = SMALLEST + "backbone: {name: bert-base-uncased, revision: abc}\n"
    project = load_project(written(tmp_path, text), backbone="offline")
    assert (project.backbone.name, project.backbone.revision) == ("offline", None)
    cut = load_project(written(tmp_path, SMALLEST + "backbone: {name: a, layers: 4}\n"), backbone="offline")
    assert cut.backbone.layers == 4


def test_modules_are_files_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "my_rules.py").write_text("")
    project = load_project(written(tmp_path, SMALLEST + "expectations: {modules: [my_rules.py]}\n"))
    assert project.expectations.modules == ("my_rules.py",)
    with pytest.raises(ConfigError) as caught:
        load_project(written(tmp_path, SMALLEST + "expectations: {modules: [my_rules.py, mine.py, .]}\n"))
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "expectations.modules[1]",
        "expectations.modules[2]",
    ]
    assert 'saw "mine.py", expected a Python file (.py)' in caught.value.problems[0]


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = """
name: Support Desk
heads:
  intent: {kind: multiclas}
  topic: multilabel
sources:
  tickets: {path: tickets.csv, txt: body, heads: {intnet: intent}}
train: {epochs: 0, lerning_rate: 0.1}
gates: {margin: 2}
schedules: {}
"""
    with pytest.raises(ConfigError) as caught:
        load_project(written(tmp_path, text))
    said = "\n".join(caught.value.problems)
    assert 'name: saw "Support Desk"' in said
    assert "heads.intent.kind: saw \"multiclas\", expected 'multiclass' or 'multilabel'" in said
    assert "sources.tickets.txt: unknown field (did you mean `text`?)" in said
    assert "train.epochs: saw 0, expected greater than or equal to 1" in said
    assert "train.lerning_rate: unknown field (did you mean `learning_rate`?)" in said
    assert "gates.margin: saw 2, expected less than 1" in said
    assert "schedules: unknown field (did you mean `schedule`?)" in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            "sources: {a: {path: a.csv, heads: {intnet: x}}}",
            "no such head (did you mean `intent`?); expected one of intent",
        ),
        ("sources: {a: {heads: {intent: x}}}", "give exactly one of `path`, `hub` and `sql`"),
        (
            "sources: {a: {path: a.csv, hub: b, heads: {intent: x}}}",
            "give exactly one of `path`, `hub` and `sql`",
        ),
        ("sources: {a: {path: a.csv}}", "the source labels no head"),
        (
            "sources: {a: {path: a.csv, heads: {intent: {encoding: label}}}}",
            "exactly one of `column` and `columns`",
        ),
        (
            "sources: {a: {path: a.csv, heads: {intent: {column: a, columns: [x]}}}}",
            "exactly one of `column`",
        ),
        ("sources: {a: {path: a.tsv, header: false, heads: {intent: x}}}", "needs the names of its columns"),
        ("heads: {intent: multiclass, topic: multilabel}", "heads.topic: no source labels this head"),
        ("heads: {intent: {kind: multiclass, labels: [a]}}", "needs two or more"),
        ("heads: {intent: {kind: multiclass, labels: [a, b, a]}}", "a label is listed twice"),
        ("heads: {}", "heads: "),
        ("gates: {margins: {intnet: 0.1}}", "gates.margins.intnet: no such head"),
        ("gates: {allow_unanswered: {intnet: [a]}}", "gates.allow_unanswered.intnet: no such head"),
        (
            "{heads: {intent: {kind: multiclass, labels: [bill, trip]}}, "
            "gates: {allow_unanswered: {intent: [trop]}}}",
            'no label "trop" (did you mean `trip`?); expected one of bill, trip',
        ),
        (
            "{heads: {intent: {kind: multiclass, labels: [bill, trip]}}, "
            "gates: {label_floors: {intent: {bil: 0.5}}}}",
            'gates.label_floors.intent: no label "bil"',
        ),
        ("gates: {references: {majority: warn}}", "gates.references.majority"),
        ("split: {prefer: [tikets]}", "split.prefer: no source 'tikets' (did you mean `tickets`?)"),
        ("deploy: {port: 99999}", "deploy.port"),
        ("deploy: {root_path: models/}", 'deploy.root_path: saw "models/", expected ^(/'),
        ("deploy: {threads: 4}", "deploy.threads: 4, but gates.latency_threads is 2"),
        ("gates: {max_latency_ratio: .inf, budget_p95_ms: .nan}", "gates.budget_p95_ms"),
        ("gates: {slices: [{column: langage, margin: 0.1}]}", "not carried into the dataset"),
        ("gates: {slices: [{column: source}]}", "nothing is judged"),
        ("gates: {slices: [{margin: 0.1}]}", "give either `column` or a band"),
        ("gates: {slices: [{column: source, max_chars: 9, margin: 0.1}]}", "give either `column` or a band"),
        ("gates: {slices: [{min_chars: 9, max_chars: 3, margin: 0.1}]}", "min_chars 9 is more than"),
        ("gates: {slices: [{max_chars: 9, values: [a], margin: 0.1}]}", "a band of lengths has no values"),
        (
            "gates: {slices: [{column: source, heads: [intnet], margin: 0.1}]}",
            "no head 'intnet' (did you mean `intent`?)",
        ),
        ("expectations: {text_present: {severity: fatal}}", "expectations.text_present.severity"),
        ("split: {test: 1.5}", "split.test: saw 1.5"),
    ],
)
def test_what_single_fields_cannot_see(tmp_path: Path, change: str, expected: str) -> None:
    raw = yaml.safe_load(SMALLEST) | yaml.safe_load(change)
    with pytest.raises(ConfigError) as caught:
        load_project(written(tmp_path, yaml.safe_dump(raw)))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [", "not valid YAML"),
        ("", "expected a mapping"),
        ("- 1", "expected a mapping"),
        ("name: a\nname: b\n", "stands twice"),
        ("name: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_broken_yaml_is_one_clear_message(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_project(written(tmp_path, text))


def test_other_encodings_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    with pytest.raises(ConfigError, match="cannot be read"):
        load_project(path)
    path.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(ConfigError, match="byte 9 is not UTF-8"):
        load_project(path)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_ready_configuration_is_valid(path: Path) -> None:
    assert load_project(path).name


def test_the_exported_schema_is_current() -> None:
    exported = json.loads((ROOT / "configs" / "schema.json").read_text(encoding="utf-8"))
    assert exported == json.loads(json.dumps(json_schema())), "run: headgate schema > configs/schema.json"


def test_words_that_old_yaml_takes_for_booleans_stay_words(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    path.write_text(
        "name: words\n"
        "heads: {agrees: {kind: multiclass, labels: [yes, no]}}\n"
        "sources: {rows: {path: a.csv, header: true, heads: {agrees: on}}}\n"
        "split: {near_duplicates: off}\n"
        "label_check: off\n"
    )
    project = load_project(path)
    assert project.heads["agrees"].labels == ("yes", "no")
    assert project.split.near_duplicates == "off" and project.label_check.mode == "off"
    assert project.sources["rows"].header is True


def test_a_label_check_is_switched_on_by_a_word_or_in_full(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    base = "name: words\nheads: {a: multiclass}\nsources: {rows: {path: a.csv, heads: {a: a}}}\n"
    path.write_text(base + "label_check: out_of_fold\n")
    assert load_project(path).label_check.mode == "out_of_fold"
    path.write_text(base + "label_check: {mode: baseline, most_rows: 50}\n")
    assert load_project(path).label_check.most_rows == 50
    path.write_text(base + "label_check: out_of_folds\n")
    with pytest.raises(ConfigError, match=r"label_check\.mode: saw \"out_of_folds\", expected"):
        load_project(path)


def test_labels_that_the_gates_name_are_checked_when_the_data_are_known(tmp_path: Path) -> None:
    """Labels of a head may be inferred: then the configuration alone cannot tell."""
    path = tmp_path / "project.yaml"
    path.write_text(
        "name: kitchen\nheads: {intent: multiclass}\nsources: {a: {path: a.csv, heads: {intent: x}}}\n"
        "gates: {allow_unanswered: {intent: [trop]}}\n"
    )
    opened = OpenProject(project=load_project(path), home=Home(tmp_path), config=path)
    opened.check_labels({"intent": HeadSpec(kind="multiclass", labels=("bill", "trop"))})
    with pytest.raises(
        ConfigError, match=r"allow_unanswered.intent: no label \"trop\" \(did you mean `trip`"
    ):
        opened.check_labels({"intent": HeadSpec(kind="multiclass", labels=("bill", "trip"))})


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            "[007, b]",
            'heads.a.labels.0: line 2, column 40: YAML reads 007 as the number 7; put it in quotes: "007"',
        ),
        ("[b, 0x1F]", "line 2, column 43: YAML reads 0x1F as the number 31"),
        ("[b, 1.5e+3]", "YAML reads 1.5e+3 as the number 1500.0"),
        ("[b, 2024-01-01]", "YAML reads 2024-01-01 as a date"),
        ("[b, true]", "YAML reads true as the truth value true"),
        ("[b, 12:30]", "YAML reads 12:30 as the number 750"),
        ("[b, ~]", "YAML reads ~ as no value"),
    ],
)
def test_what_yaml_made_of_a_label_is_said_with_its_place(labels: str, expected: str, tmp_path: Path) -> None:
    text = (
        "name: words\n"
        f"heads: {{a: {{kind: multiclass, labels: {labels}}}}}\n"
        "sources: {rows: {path: a.csv, heads: {a: a}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_project(written(tmp_path, text))
    assert expected in str(caught.value)


def test_what_yaml_made_of_a_key_or_of_a_column_is_said_with_its_place(tmp_path: Path) -> None:
    text = (
        "name: words\n"
        "heads: {a: multiclass}\n"
        "sources:\n"
        "  rows: {path: a.csv, heads: {a: {column: 2024, map: {007: seven}, missing: [-1, 1e3]}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_project(written(tmp_path, text))
    said = str(caught.value)
    for expected in (
        'line 4, column 43: YAML reads 2024 as the number 2024; put it in quotes: "2024"',
        'line 4, column 55: YAML reads 007 as the number 7; put it in quotes: "007"',
        'line 4, column 78: YAML reads -1 as the number -1; put it in quotes: "-1"',
    ):
        assert expected in said, said
    assert "1e3" not in said  # a text already


def test_labels_with_blanks_at_their_ends_are_refused(tmp_path: Path) -> None:
    text = (
        "name: words\nheads: {a: {kind: multiclass, labels: ['b ', c]}}\n"
        "sources: {rows: {path: a.csv, heads: {a: a}}}\n"
    )
    with pytest.raises(ConfigError, match=r'heads\.a\.labels: "b " has blanks at its ends'):
        load_project(written(tmp_path, text))


def test_problems_come_in_one_round_with_line_and_column(tmp_path: Path) -> None:
    text = (
        "name: Support Desk\n"
        "heads:\n"
        "  intent: {kind: multiclas}\n"
        "sources:\n"
        "  tickets: {path: tickets.csv, txt: body, heads: {intnet: intent}}\n"
        "train: {epochs: 0}\n"
        "train: {epochs: 0}\n"
        "gates: {margin: 2, margins: {intnet: 0.1}}\n"
        "expectations: {modules: [x.py]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_project(written(tmp_path, text))
    assert [line.rpartition(" (line ")[2] for line in caught.value.problems[1:]] == [
        "1, column 7)",
        "3, column 18)",
        "5, column 32)",
        "6, column 17)",
        "8, column 17)",
        "5, column 51)",
        "8, column 30)",
        "9, column 26)",
    ]
    assert caught.value.problems[0].startswith(
        "line 7, column 1: the key 'train' stands twice, first in line 6"
    )


def test_broken_yaml_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2, column 9: not valid YAML"):
        load_project(written(tmp_path, "name: a\nheads: a: b\n"))


def test_a_project_s_name_may_hold_hyphens_and_a_head_s_may_not(tmp_path: Path) -> None:
    text = SMALLEST.replace("support", "my-shop")
    assert load_project(written(tmp_path, text)).name == "my-shop"
    with pytest.raises(ConfigError, match="in-tent"):
        load_project(written(tmp_path, text.replace("intent", "in-tent")))


def test_the_older_name_of_what_is_kept_does_not_count_as_a_change(tmp_path: Path) -> None:
    config = scheduled_config(tmp_path)
    before = effective(load_project(config))
    config.write_text(config.read_text() + "keep: {versions: 7}\n")
    assert effective(load_project(config)) == before
